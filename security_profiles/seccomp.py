"""Renders a profile as the seccomp JSON that Docker (`--security-opt seccomp=`) and OCI take."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from security_profiles import conditional, groups
from security_profiles.blocked import BLOCKED, REFUSED_WITH_ENOSYS
from security_profiles.errors import (
    DangerousSyscallError,
    RequiredSyscallError,
    UnknownSyscallError,
)
from security_profiles.profiles import get_profile
from security_profiles.required import TO_DROP_RIGHTS, TO_START
from security_profiles.rules import Rule, names_of
from security_profiles.syscall_names import KNOWN_SYSCALLS

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
) -> dict[str, Any]:
    """The seccomp profile of `name` as JSON data, with a request's additions and removals.

    The same arguments, in any order, give the same data. An allowed call that some profile lets
    through only for certain arguments is added with just those. A call both allowed and blocked
    is blocked.

    Raises UnknownProfileError, UnknownSyscallError, DangerousSyscallError (the call is blocked in
    every profile) and RequiredSyscallError (no container starts without the call).
    """
    allowed, blocked = frozenset(allowed_syscalls), frozenset(blocked_syscalls)
    _check_allowed(allowed)
    _check_blocked(blocked, name)
    rules = profile_rules(name)
    rules = (*rules, *_additions(allowed - names_of(rules)))
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": list(ARCHITECTURES),
        "syscalls": [rule.as_json() for rule in _without(rules, blocked)],
    }


def _check_allowed(names: frozenset[str]) -> None:
    _check_known(names)
    refused = BLOCKED | REFUSED_WITH_ENOSYS
    for name in sorted(names & refused.keys()):
        raise DangerousSyscallError(f"{name} cannot be allowed: {refused[name]}")


def _check_blocked(names: frozenset[str], profile_name: str) -> None:
    _check_known(names)
    required = TO_START
    if not get_profile(profile_name).no_new_privileges:
        required |= TO_DROP_RIGHTS
    for name in sorted(names & required):
        raise RequiredSyscallError(f"{name} cannot be blocked: no container starts without it")


def _check_known(names: frozenset[str]) -> None:
    for name in sorted(names - KNOWN_SYSCALLS):
        raise UnknownSyscallError(f"{name!r} is not a Linux system call: check the spelling")


def _additions(names: frozenset[str]) -> tuple[Rule, ...]:
    """Rules for requested calls: with their conditions where a profile has some for them."""
    conditions = tuple(rule for rule in conditional.STANDARD if names.intersection(rule.names))
    plain = tuple(sorted(names - names_of(conditions)))
    if not plain:
        return conditions
    return (*conditions, Rule(names=plain, why="added by the request"))


def _without(rules: Iterable[Rule], blocked: frozenset[str]) -> Iterable[Rule]:
    """The rules less the allowing of `blocked`; a call refused with ENOSYS stays refused so."""
    for rule in rules:
        names = rule.names if rule.errno else tuple(n for n in rule.names if n not in blocked)
        if names:
            yield replace(rule, names=names)
