"""Renders a profile as the seccomp JSON that Docker (`--security-opt seccomp=`) and OCI take."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from security_profiles import conditional, groups
from security_profiles.additions import check_allowed, check_blocked
from security_profiles.profiles import get_profile
from security_profiles.rules import Rule, names_of

EPERM = 1
"""errno of every refused call. Docker 20.10 ignores `defaultErrnoRet`; EPERM is runc's own."""

ARCHITECTURES = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
"""64-bit only. A call by another entry (i386's int 0x80, x32) ends the process: the numbers differ
there, and a filter written for one numbering is blind in another. Docker, containerd and CRI-O all
read the key `architectures`; `archMap` is Docker's alone."""

_RULES: dict[str, tuple[Rule, ...]] = {
    "agentcore-minimal": (*groups.MINIMAL, *conditional.MINIMAL),
    "agentcore-standard": (*groups.MINIMAL, *groups.STANDARD_ADDS, *conditional.STANDARD),
}


def profile_rules(name: str) -> tuple[Rule, ...]:
    """The rules of the profile `name` without any request. Raises UnknownProfileError."""
    return _RULES[get_profile(name).seccomp_profile]


def render_seccomp(
    name: str,
    *,
    allowed_syscalls: Iterable[str] = (),
    blocked_syscalls: Iterable[str] = (),
    permitted: Iterable[str] = (),
) -> dict[str, Any]:
    """The seccomp profile of `name` as JSON data, with a request's additions and removals.

    permitted: dangerous calls that the operator's settings allow by name; each is added only if it
    is in `allowed_syscalls` too.

    The same arguments, in any order, give the same data. An allowed call that some profile lets
    through only for certain arguments is added with just those. A call both allowed and blocked
    is blocked.

    Raises UnknownProfileError, UnknownSyscallError, DangerousSyscallError (the call is blocked in
    every profile and not permitted) and RequiredSyscallError (no container starts without it).
    """
    rules = _rules(name, allowed_syscalls, blocked_syscalls, permitted)
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": list(ARCHITECTURES),
        "syscalls": [rule.as_json() for rule in rules],
    }


def allowed_names(
    name: str,
    *,
    allowed_syscalls: Iterable[str] = (),
    blocked_syscalls: Iterable[str] = (),
    permitted: Iterable[str] = (),
) -> frozenset[str]:
    """The calls that the filter lets through, some of them only for certain arguments.

    Takes and raises what `render_seccomp` does.
    """
    return names_of(_rules(name, allowed_syscalls, blocked_syscalls, permitted))


def _rules(
    name: str, allowed: Iterable[str], blocked: Iterable[str], permitted: Iterable[str]
) -> tuple[Rule, ...]:
    added, removed = frozenset(allowed), frozenset(blocked)
    check_allowed(added, permitted)
    check_blocked(removed, name)
    rules = profile_rules(name)
    added -= names_of(rules) | removed
    return (*_without(rules, allowed=added, blocked=removed), *_additions(added))


def _additions(names: frozenset[str]) -> tuple[Rule, ...]:
    """Rules for requested calls: with their conditions where a profile has some for them."""
    conditions = tuple(
        rule
        for rule in conditional.STANDARD
        if rule.errno is None and names.intersection(rule.names)
    )
    plain = tuple(sorted(names - names_of(conditions)))
    if not plain:
        return conditions
    return (*conditions, Rule(names=plain, why="added by the request"))


def _without(
    rules: Iterable[Rule], *, allowed: frozenset[str], blocked: frozenset[str]
) -> Iterable[Rule]:
    """The rules less the allowing of `blocked` and less the ENOSYS answers of `allowed`."""
    for rule in rules:
        dropped = allowed if rule.errno else blocked
        if names := tuple(name for name in rule.names if name not in dropped):
            yield replace(rule, names=names)
