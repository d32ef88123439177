"""Prints an audit for people."""

import sys
from itertools import zip_longest
from typing import TextIO

from rich.console import Console
from rich.text import Text

from worker.security_audit.verdicts import Audit, Check, Verdict

MARKS = {
    Verdict.ENFORCED: ("✓", "green", "ok  "),
    Verdict.NOT_ENFORCEABLE: ("⚠", "yellow", "warn"),
    Verdict.MISCONFIGURED: ("✗", "red", "FAIL"),
}
"""Verdict to sign, colour, and a word for terminals that cannot show the sign."""


def print_audit(audit: Audit, stream: TextIO | None = None) -> None:
    """Write sections, verdicts, advice and totals; colours on a terminal only."""
    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True, emoji=False)
    signs = _can_show(console.encoding)
    for section in audit.sections:
        console.print(Text(f"{section.number}. {section.title}", style="bold"))
        for check, following in zip_longest(section.checks, section.checks[1:]):
            # The same advice for several lines in a row stands below the last of them.
            repeated = following is not None and following.advice == check.advice
            _print_check(console, check, signs=signs, advise=not repeated)
    totals = audit.totals
    console.print(
        f"\n{totals[Verdict.ENFORCED]} enforced, "
        f"{totals[Verdict.NOT_ENFORCEABLE]} not enforceable here, "
        f"{totals[Verdict.MISCONFIGURED]} misconfigured"
    )


def _print_check(console: Console, check: Check, *, signs: bool, advise: bool) -> None:
    sign, colour, word = MARKS[check.verdict]
    encoding = console.encoding
    line = Text("  ").append(sign if signs else word, style=colour)
    console.print(line.append(_plain(f" {check.name}: {check.detail}", encoding)))
    if check.advice and advise:
        console.print(Text(_plain(f"      {check.advice}", encoding), style="dim"))


def _plain(text: str, encoding: str) -> str:
    """One line that the terminal can show and does not obey: details quote others."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return line.encode(encoding, errors="replace").decode(encoding)


def _can_show(encoding: str) -> bool:
    try:
        "".join(sign for sign, _, _ in MARKS.values()).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
