"""The words a seccomp profile is written in: one rule, its condition, and a set of exact values.

Only two comparisons exist here, both positive: "equals" and "these bits are clear". A negative
one ("anything but") would let through every value that nobody thought of, and seccomp compares
all 64 bits where the kernel often looks at 32, so that a set high bit would slip past it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ENOSYS = 38
"""errno: "no such system call". C libraries answer it by trying the older call."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What one argument of the call must be.

    index: position of the argument, 0 to 5.
    value: what `argument & mask` must equal; mask None compares the whole 64-bit argument.
    """

    index: int
    value: int
    mask: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The condition in the seccomp JSON of Docker and the OCI runtime specification."""
        if self.mask is None:
            return {"index": self.index, "value": self.value, "op": "SCMP_CMP_EQ"}
        return {
            "index": self.index,
            "value": self.mask,
            "valueTwo": self.value,
            "op": "SCMP_CMP_MASKED_EQ",
        }


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Some system calls, why they are here, and when they are let through.

    condition: None lets every call through.
    second: a condition that must hold too, on another argument: runtimes disagree about two on
        the same one (some join them with "and", runc with "or").
    errno: None allows; a number from 1 to 4095 refuses with that number.
    """

    names: tuple[str, ...]
    why: str
    condition: Condition | None = None
    second: Condition | None = None
    errno: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The rule as one entry of `syscalls` in the seccomp JSON; names sorted."""
        entry: dict[str, Any] = {
            "names": sorted(self.names),
            "action": "SCMP_ACT_ALLOW" if self.errno is None else "SCMP_ACT_ERRNO",
        }
        if self.errno is not None:
            entry["errnoRet"] = self.errno
        conditions = (self.condition, self.second)
        entry["args"] = [item.as_json() for item in conditions if item is not None]
        entry["comment"] = self.why
        return entry


def allow(why: str, names: str) -> Rule:
    """A rule that lets the blank-separated `names` through, whatever their arguments."""
    return Rule(names=tuple(names.split()), why=why)


def one_of(name: str, index: int, values: Mapping[int, str]) -> tuple[Rule, ...]:
    """Rules that let `name` through when argument `index` is one of `values` (value: reason)."""
    return tuple(
        Rule(names=(name,), why=why, condition=Condition(index=index, value=value))
        for value, why in values.items()
    )


def names_of(rules: Iterable[Rule]) -> frozenset[str]:
    """The calls that `rules` let through, with or without a condition."""
    return frozenset(name for rule in rules if rule.errno is None for name in rule.names)
