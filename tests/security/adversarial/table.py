"""The table of verdicts that a run ends with. It counts pairs of a case and a profile."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from security_profiles import PROFILE_NAMES

TRIAL = "::test_program_is_contained["  # in the name of the test that judges one pair
PROPERTY = "security"  # of a test's report; it travels from the workers of a parallel run


@dataclass(frozen=True, kw_only=True)
class Line:
    """One pair: what was tried, how it ended, and what is wrong with that."""

    case: str
    tries: str
    profile: str
    ended: str
    problems: tuple[str, ...]
    is_warm: bool = False  # whether its sandbox had been started ahead

    @property
    def cell(self) -> str:
        """What the table shows of it."""
        return f"{'✗ ESCAPED' if self.problems else '✓'} {self.ended}"

    def as_property(self) -> tuple[str, dict[str, Any]]:
        """The pair as a property of its test's report."""
        return PROPERTY, asdict(self)


def trial_id(case: str, profile: str) -> str:
    """How the test of a pair is told apart from the others."""
    return f"{case}-{profile}"


def lines_of(reports: Iterable[Any]) -> list[Line]:
    """The lines that test reports carry, and one for each pair that failed without a verdict."""
    judged: dict[str, Line] = {}
    crashed: dict[str, Line] = {}
    for report in reports:
        if TRIAL not in (node := getattr(report, "nodeid", None) or ""):
            continue
        for name, value in getattr(report, "user_properties", ()):
            if name == PROPERTY:
                judged[node] = Line(**{**value, "problems": tuple(value["problems"])})
        if getattr(report, "outcome", None) == "failed":
            crashed[node] = _without_verdict(node)
    return list((crashed | judged).values())


def _without_verdict(node: str) -> Line:
    case, _, profile = node.partition(TRIAL)[2].removesuffix("]").rpartition("-")
    problems = ("no verdict: the test itself failed",)
    return Line(case=case, tries="–", profile=profile, ended="unknown", problems=problems)


def render(lines: list[Line], order: list[str]) -> list[str]:
    """The table as text, cases in the given order, with what is wrong below it."""
    cells = {(line.case, line.profile): line.cell for line in lines}
    tries = {line.case: line.tries for line in lines}
    rows = [("case", "what it tries", *PROFILE_NAMES)]
    for name in sorted(tries, key=lambda name: order.index(name) if name in order else len(order)):
        found = (cells.get((name, profile), "–") for profile in PROFILE_NAMES)
        rows.append((name, tries[name], *found))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    wrong = [
        f"✗ {line.case} under {line.profile}: {problem}"
        for line in lines
        for problem in line.problems
    ]
    return [*text, *wrong]


def sandboxes(lines: list[Line]) -> str:
    """Say in which sandboxes the programs ran."""
    warm = sum(line.is_warm for line in lines)
    return f"sandboxes: {warm} started ahead, {len(lines) - warm} for the program at hand"


def closing(lines: list[Line]) -> str:
    """The last line of a run."""
    escaped = sum(1 for line in lines if line.problems)
    text = f"security: {len(lines)} tried, {len(lines) - escaped} contained, {escaped} escaped"
    return text if lines else f"{text}: nothing was tried, which shows nothing"
