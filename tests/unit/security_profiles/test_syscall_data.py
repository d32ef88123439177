"""The lists of system calls agree with each other and with the kernel's headers."""

import re
from collections import Counter
from pathlib import Path

import pytest

from security_profiles import BLOCKED, PROFILE_NAMES, RequiredSyscallError
from security_profiles.additions import check_blocked
from security_profiles.blocked import REFUSED_WITH_ENOSYS
from security_profiles.required import TO_DROP_RIGHTS, TO_START, TO_SUPERVISE
from security_profiles.rules import names_of
from security_profiles.seccomp import profile_rules
from security_profiles.syscall_names import KNOWN_SYSCALLS, LAST_NUMBER, X86_64_ONLY
from tests.harness import missing

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
CONDITIONAL_ONLY = {"clone", "socket", "socketpair", "ioctl", "prctl", "personality", "mknod"}


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_every_allowed_name_is_a_system_call(profile: str) -> None:
    assert names_of(profile_rules(profile)) <= KNOWN_SYSCALLS


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_nothing_blocked_is_allowed(profile: str) -> None:
    refused = BLOCKED.keys() | REFUSED_WITH_ENOSYS.keys()
    assert not names_of(profile_rules(profile)) & refused


def test_every_blocked_name_is_a_system_call_and_has_a_reason() -> None:
    assert len(BLOCKED) >= 44
    assert BLOCKED.keys() <= KNOWN_SYSCALLS
    assert all(len(reason) > 10 for reason in BLOCKED.values())


@pytest.mark.parametrize(
    "name",
    [
        *("mount", "umount", "umount2", "pivot_root", "chroot", "unshare", "setns"),
        *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"),
        *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
        *("reboot", "sethostname", "setdomainname", "acct", "swapon", "swapoff"),
        *("clock_settime", "settimeofday", "adjtimex", "create_module"),
        *("mbind", "migrate_pages", "move_pages", "set_mempolicy"),
        *("add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd"),
        *("io_uring_setup", "io_uring_enter", "io_uring_register"),
        *("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
        *("open_by_handle_at", "name_to_handle_at"),
    ],
)
def test_way_out_is_blocked_by_name(name: str) -> None:
    assert name in BLOCKED


def test_counts_are_those_promised() -> None:
    minimal = names_of(profile_rules("minimal"))
    assert 110 <= len(minimal) <= 135
    assert 100 <= len(minimal - X86_64_ONLY) <= 110
    assert len(names_of(profile_rules("standard"))) >= 200


def test_standard_allows_all_that_minimal_does() -> None:
    assert names_of(profile_rules("minimal")) < names_of(profile_rules("standard"))


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_no_name_is_allowed_by_two_unconditional_rules(profile: str) -> None:
    rules = [rule for rule in profile_rules(profile) if rule.condition is None]
    counts = Counter(name for rule in rules for name in rule.names)
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_calls_with_dangerous_arguments_are_never_allowed_whole(profile: str) -> None:
    whole = names_of(rule for rule in profile_rules(profile) if rule.condition is None)
    assert not whole & CONDITIONAL_ONLY


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_every_rule_has_a_reason(profile: str) -> None:
    reasons = [rule.why for rule in profile_rules(profile)]
    assert [why for why in reasons if re.fullmatch(r"[A-Z0-9_]*", why)] == []  # a bare name


def test_what_the_runtime_needs_is_allowed() -> None:
    assert names_of(profile_rules("minimal")) >= TO_START | TO_SUPERVISE
    assert names_of(profile_rules("privileged")) >= TO_START | TO_DROP_RIGHTS


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("name", ["prctl", "kill", "prlimit64", "read"])
def test_what_keeps_the_supervisor_safe_cannot_be_blocked(profile: str, name: str) -> None:
    with pytest.raises(RequiredSyscallError):
        check_blocked([name], profile)


def test_table_knows_every_call_of_the_installed_headers() -> None:
    if not HEADER.is_file():
        missing(f"{HEADER} is not here: apt-get install linux-libc-dev")
    found = re.findall(r"#define __NR_(\w+)\s+(\d+)", HEADER.read_text())
    assert {name for name, number in found if int(number) <= LAST_NUMBER} <= KNOWN_SYSCALLS
