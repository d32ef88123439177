"""The three verdicts of a check, and what a whole audit adds up to."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.security import LayerMode


class Verdict(StrEnum):
    """What was found out about one defence."""

    ENFORCED = "enforced"
    NOT_ENFORCEABLE = "not_enforceable"
    """Not in force, and nothing is wrong: this host does not give it, a setting leaves it out on
    purpose, or it could not be looked at. The detail says which."""
    MISCONFIGURED = "misconfigured"
    """It could be in force and is not, or the settings require what is not there."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One verdict. `advice` says what to do and is empty where nothing is to be done."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """The checks of one topic."""

    number: int
    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All sections."""

    sections: tuple[Section, ...]

    @property
    def totals(self) -> dict[str, int]:
        """How many checks have each verdict, by its name."""
        counts = Counter(check.verdict for section in self.sections for check in section.checks)
        return {verdict.value: counts[verdict] for verdict in Verdict}

    @property
    def exit_code(self) -> int:
        """1 where anything is misconfigured, else 0."""
        return 1 if self.totals[Verdict.MISCONFIGURED] else 0

    def as_json(self) -> dict[str, Any]:
        """Plain values for programs."""
        return {
            "sections": [
                {
                    "number": section.number,
                    "title": section.title,
                    "checks": [
                        {
                            "name": check.name,
                            "verdict": check.verdict.value,
                            "detail": check.detail,
                            "advice": check.advice,
                        }
                        for check in section.checks
                    ],
                }
                for section in self.sections
            ],
            "totals": self.totals,
        }


def enforced(name: str, detail: str) -> Check:
    """The defence is in force."""
    return Check(name=name, verdict=Verdict.ENFORCED, detail=detail)


def not_enforceable(name: str, detail: str, advice: str) -> Check:
    """The defence is not in force, and not because of a mistake."""
    return Check(name=name, verdict=Verdict.NOT_ENFORCEABLE, detail=detail, advice=advice)


def misconfigured(name: str, detail: str, advice: str) -> Check:
    """The defence could and should be in force, and is not."""
    return Check(name=name, verdict=Verdict.MISCONFIGURED, detail=detail, advice=advice)


def not_looked_at(name: str, why: str, advice: str) -> Check:
    """Nothing is known about the defence."""
    return not_enforceable(name, f"not looked at: {why}", advice)


def missing_layer(name: str, mode: LayerMode, variable: str, detail: str, advice: str) -> Check:
    """A layer that this host does not give: `mode` is what the setting `variable` says of it."""
    if mode == "require":
        either = f"{advice}; or set {variable}=prefer to run without it"
        return misconfigured(name, f"{detail}, and {variable}=require", either)
    return not_enforceable(name, detail, advice)


def layer_is_off(name: str, variable: str) -> Check:
    """A layer that the operator has turned off."""
    return not_enforceable(name, f"off by {variable}", f"set {variable}=prefer to have it")
