"""What checkov finds, held against the committed list of findings that are explained."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from deploy.kubernetes.files import HERE

LIST = HERE / "checkov" / "accepted.toml"


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """A check that an object failed."""

    check: str
    target: str
    resource: str  # such as Deployment/agentcore-api
    name: str  # of the check, in words

    @property
    def place(self) -> str:
        """Where it is, as the list names it."""
        return f"{self.target}/{self.resource}"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """One entry of the list."""

    check: str
    where: tuple[str, ...]  # patterns of places
    why: str

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is explained by this entry."""
        matches = any(fnmatchcase(finding.place, pattern) for pattern in self.where)
        return finding.check == self.check and matches


def read_list(path: Path = LIST) -> list[Accepted]:
    """Return the committed list."""
    entries = tomllib.loads(path.read_text("utf-8"))["accepted"]
    return [
        Accepted(check=entry["check"], where=tuple(entry["where"]), why=entry["why"])
        for entry in entries
    ]


def judge(findings: Iterable[Finding], accepted: Iterable[Accepted]) -> list[str]:
    """Return what is wrong, a line each: findings without an explanation, and the other way."""
    findings, accepted = sorted(findings), list(accepted)
    problems = [
        f"{finding.check} {finding.place}: {finding.name}"
        for finding in findings
        if not any(entry.covers(finding) for entry in accepted)
    ]
    for entry in accepted:
        for pattern in entry.where:
            one = Accepted(check=entry.check, where=(pattern,), why=entry.why)
            if not any(one.covers(finding) for finding in findings):
                problems.append(f"{entry.check} {pattern}: explained, and not found any more")
    return problems
