"""Prints the verdicts at the end of a run; conftest modules import the hook from here."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.security.adversarial import table
from tests.security.adversarial.cases import CASES
from tests.security.adversarial.policy_cases import POLICY_CASES

FOLDER = Path(__file__).parent
_PRINTED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Print the table when this suite was run alone, and the closing line whenever it was run."""
    result = yield  # pytest's own summary is printed here: ours comes last
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or config.stash.get(_PRINTED, False):
        return result
    config.stash[_PRINTED] = True
    lines = table.lines_of(report for group in reporter.stats.values() for report in group)
    if not lines:
        return result
    reporter.ensure_newline()
    if all(_is_ours(argument) for argument in config.args):
        for text in table.render(lines, [case.name for case in (*CASES, *POLICY_CASES)]):
            reporter.write_line(text)
    reporter.write_line(table.closing(lines))
    return result


def _is_ours(argument: str) -> bool:
    path = Path(argument.partition("::")[0]).resolve()
    return path == FOLDER or FOLDER in path.parents
