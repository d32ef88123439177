"""`python -m worker security-audit`: collect, judge, print."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from models.settings import Settings
from worker.security_audit import (
    apparmor,
    capabilities,
    containers,
    daemon,
    directories,
    permissions,
    seccomp,
)
from worker.security_audit.collect import collect
from worker.security_audit.facts import Facts
from worker.security_audit.report import print_audit
from worker.security_audit.verdicts import Audit

INTERRUPTED = 130  # 128 + SIGINT, as shells count
SECTIONS = (daemon, apparmor, seccomp, capabilities, permissions, directories, containers)


def run(settings: Settings, *, as_json: bool) -> int:
    """Audit this host; return 0, 1 where something is misconfigured, or 130 after Ctrl-C."""
    try:
        with _progress() as say:
            facts = collect(settings, say)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    audit = judge(facts)
    if as_json:
        print(json.dumps(audit.as_json(), indent=2))
    else:
        print_audit(audit)
    return audit.exit_code


def judge(facts: Facts) -> Audit:
    """Return all verdicts on these facts; a pure function."""
    return Audit(sections=tuple(module.section(facts) for module in SECTIONS))


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """On standard error: a spinner on a terminal, a line for each step elsewhere."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    with console.status("looking at this host") as status:

        def say(what: str) -> None:
            if console.is_terminal:
                status.update(f"looking at {what}")
            else:
                console.print(f"looking at {what}")

        yield say
