"""Prints the verdicts at the end of a run; tests/conftest.py imports the hook from here."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.security.adversarial import table
from tests.security.adversarial.cases import CASES
from tests.security.adversarial.policy_cases import POLICY_NAMES

FOLDER = Path(__file__).parent
SUITE = FOLDER / "test_adversarial.py"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Print the table when this suite was run alone, and the closing line whenever it was run."""
    result = yield  # pytest's own summary is printed here: ours comes last
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or config.option.collectonly:
        return result
    lines = table.lines_of(report for group in reporter.stats.values() for report in group)
    paths = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    asked = any(path in (FOLDER, SUITE) for path in paths)
    if not lines and not asked:
        return result
    reporter.ensure_newline()
    if all(path == FOLDER or FOLDER in path.parents for path in paths):
        for text in table.render(lines, [*(case.name for case in CASES), *POLICY_NAMES]):
            reporter.write_line(text)
    reporter.write_line(table.sandboxes(lines))
    reporter.write_line(table.closing(lines))
    if not lines or any(line.problems for line in lines):
        # Every one may have been skipped, or left out by the choice of tests.
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    return result
