"""Checks of the system calls that a request adds to a profile or removes from it."""

from collections.abc import Iterable

from security_profiles.blocked import BLOCKED, REFUSED_WITH_ENOSYS
from security_profiles.errors import (
    DangerousSyscallError,
    RequiredSyscallError,
    UnknownSyscallError,
)
from security_profiles.profiles import get_profile
from security_profiles.required import TO_DROP_RIGHTS, TO_START, TO_SUPERVISE
from security_profiles.syscall_names import KNOWN_SYSCALLS

_DANGEROUS = BLOCKED | REFUSED_WITH_ENOSYS


def is_dangerous(name: str) -> bool:
    """Whether no profile has the call and only the operator's settings can permit it."""
    return name in _DANGEROUS


def check_known(names: Iterable[str]) -> None:
    """Raise UnknownSyscallError for the first name, by the alphabet, that is no system call."""
    for name in sorted(set(names) - KNOWN_SYSCALLS):
        raise UnknownSyscallError(f"{name!r} is not a Linux system call: check the spelling")


def check_allowed(names: Iterable[str], permitted: Iterable[str] = ()) -> None:
    """Check calls to add; `permitted` are dangerous ones that the operator allows by name.

    Raises UnknownSyscallError and DangerousSyscallError.
    """
    asked, excused = frozenset(names), frozenset(permitted)
    check_known(asked | excused)
    for name in sorted(asked & _DANGEROUS.keys() - excused):
        raise DangerousSyscallError(
            f"{name} cannot be allowed: {_DANGEROUS[name]}; "
            "the operator can permit it by name (AGENTCORE_EXTRA_SYSCALLS, or render --permit)"
        )


def required_names(profile_name: str) -> frozenset[str]:
    """The calls that no request may take from a profile. Raises UnknownProfileError."""
    required = TO_START | TO_SUPERVISE
    if not get_profile(profile_name).no_new_privileges:
        required |= TO_DROP_RIGHTS
    return required


def check_blocked(names: Iterable[str], profile_name: str) -> None:
    """Check calls to remove from a profile.

    Raises UnknownProfileError, UnknownSyscallError and RequiredSyscallError (no sandbox works
    without the call).
    """
    required = required_names(profile_name)
    refused = frozenset(names)
    check_known(refused)
    for name in sorted(refused & required):
        raise RequiredSyscallError(f"{name} cannot be blocked: no sandbox works without it")
