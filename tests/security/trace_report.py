"""Holds traced system calls against the rules of the profiles; used by `trace_syscalls`."""

from collections.abc import Iterable
from dataclasses import dataclass

from security_profiles import allowed_names
from security_profiles.blocked import BLOCKED, REFUSED_WITH_ENOSYS
from security_profiles.rules import Condition, Rule
from security_profiles.seccomp import profile_rules

_ROOT = "only root changes owners, and no sandbox runs as root"
_NO_DAEMON = "libc looks for a name service daemon and libuuid for a network card; they do without"
_HINT = "a hint to the kernel, or attributes that are not there; tools go on without"
REFUSED_ON_PURPOSE = {
    **BLOCKED,
    **REFUSED_WITH_ENOSYS,
    **dict.fromkeys(("chown", "fchown", "fchownat", "lchown"), _ROOT),
    **dict.fromkeys(("socket 0:0x1", "socket 0:0x2", "connect"), _NO_DAEMON),
    **dict.fromkeys(("ioctl 1:0x8912", "ioctl 1:0x8927"), _NO_DAEMON),
    **dict.fromkeys(("fadvise64", "getxattr", "lgetxattr"), _HINT),
    "getpeername": "repr() of a socket left open; it swallows the error",
}
"""What a program of the traces does without; the rest of what is refused is a surprise.

That they do without is shown by test_profiles_run_python, where the filter is in force."""


@dataclass(frozen=True, order=True)
class Call:
    """A system call as it was made; arguments are kept only where some rule looks at them."""

    name: str
    arguments: tuple[int, ...] = ()


def _conditions(rule: Rule) -> list[Condition]:
    return [condition for condition in (rule.condition, rule.second) if condition is not None]


def _watched(rules: Iterable[Rule]) -> dict[str, set[int]]:
    """Call name to the positions of the arguments that some rule looks at."""
    found: dict[str, set[int]] = {}
    for rule in rules:
        for condition in _conditions(rule):
            for name in rule.names:
                found.setdefault(name, set()).add(condition.index)
    return found


CONDITIONAL = _watched(profile_rules("standard"))


def _covers(rule: Rule, call: Call) -> bool:
    """Whether the rule lets exactly this call through."""
    return (
        rule.errno is None
        and call.name in rule.names
        and all(
            len(call.arguments) > item.index
            and call.arguments[item.index] & (~0 if item.mask is None else item.mask) == item.value
            for item in _conditions(rule)
        )
    )


def _shown(call: Call) -> str:
    watched = sorted(CONDITIONAL.get(call.name, ()))
    return " ".join([call.name, *(f"{index}:{call.arguments[index]:#x}" for index in watched)])


def print_refused(profile: str, seen: dict[Call, str]) -> list[str]:
    """Print calls that were made and are refused; return those without a known reason."""
    rules = profile_rules(profile)
    print(f"\n{profile}: {len({call.name for call in seen})} calls seen; refused of them:")
    surprises = []
    for shown, call in sorted((_shown(call), call) for call in seen):
        if any(_covers(rule, call) for rule in rules):
            continue
        why = REFUSED_ON_PURPOSE.get(shown) or REFUSED_ON_PURPOSE.get(call.name)
        if why is None:
            surprises.append(shown)
        print(f"  {shown:20} ({seen[call]}) {why or 'NOT ON PURPOSE'}")
    return surprises


def print_unseen(profile: str, seen: dict[Call, str]) -> None:
    """Print calls and values of arguments that are let through and no program used, and why."""
    allowed, names = allowed_names(profile), {call.name for call in seen}
    print(f"\n{profile}: {len(allowed)} calls allowed, {len(allowed - names)} never seen:")
    rules = [rule for rule in profile_rules(profile) if rule.errno is None]
    for rule in rules:
        if rule.condition is None and (unseen := [n for n in rule.names if n not in names]):
            print(f"  {' '.join(unseen)}: {rule.why}")
    print(f"\n{profile}: values of arguments allowed, and never seen:")
    for rule in rules:
        if rule.condition is not None and not any(_covers(rule, call) for call in seen):
            print(f"  {' '.join(rule.names)} {rule.condition.value:#x}: {rule.why}")
