"""What every profile must refuse is refused by the kernel, in real containers."""

import errno
import platform
import signal
from functools import cache
from typing import Any

import docker
import pytest

from security_profiles import PROFILE_NAMES
from tests.security.profile_sandbox import run_program
from tests.security.programs import probes

NEWER = {"mount_setattr", "quotactl_fd"}  # runc answers ENOSYS above a filter's highest number
NOT_REFUSED = NEWER | {"clone3", "socket_inet", "socket_unix", "ioctl_fionread"}
REFUSED = sorted(probes.CALLS.keys() - NOT_REFUSED)
NAMESPACE_CLONES = [
    f"clone_{bit:#x}"
    for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
]

# Refused by the filter alone: without it the kernel answers these with something else than EPERM.
FILTER_ALONE = [
    "unshare",
    "unshare_user",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "keyctl",
    "add_key",
    "request_key",
    "io_uring_setup",
    "io_uring_enter",
    "name_to_handle_at",
    "userfaultfd",
    "personality",
    "socket_netlink",
    "mbind",
    "set_mempolicy",
    "ioctl_tiocsti",
    "ioctl_tioclinux",
    "clone_0x10000000",
]


@pytest.fixture(scope="module")
def answers(sandbox_image: str) -> Any:
    client = docker.from_env()
    yield cache(lambda profile: run_program(client, sandbox_image, profile, "probes"))
    client.close()


@pytest.fixture(scope="module")
def permitted_answers(sandbox_image: str) -> Any:
    client = docker.from_env()
    names = ["clone3", "unshare"]
    yield run_program(
        client, sandbox_image, "standard", "probes", allowed_syscalls=names, permitted=names
    )
    client.close()


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("probe", [*REFUSED, *NAMESPACE_CLONES])
def test_call_is_refused(answers: Any, profile: str, probe: str) -> None:
    assert answers(profile)[probe] == errno.EPERM


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("probe", sorted(NEWER))
def test_newer_call_is_refused_or_unknown(answers: Any, profile: str, probe: str) -> None:
    assert answers(profile)[probe] in (errno.EPERM, errno.ENOSYS)


@pytest.mark.parametrize("probe", FILTER_ALONE)
def test_without_the_filter_the_same_call_gets_through(answers: Any, probe: str) -> None:
    assert answers("unconfined")[probe] != errno.EPERM


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_clone3_answers_not_implemented(answers: Any, profile: str) -> None:
    assert answers(profile)["clone3"] == errno.ENOSYS
    assert answers("unconfined")["clone3"] == errno.EINVAL


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_plain_clone_and_listed_ioctl_get_through(answers: Any, profile: str) -> None:
    assert answers(profile)["clone_plain"] == 0
    assert answers(profile)["ioctl_fionread"] == errno.EBADF


def test_what_the_operator_permits_gets_through_and_nothing_else(
    answers: Any, permitted_answers: Any
) -> None:
    before, after = answers("standard"), permitted_answers
    changed = {probe for probe in probes.CALLS if before[probe] != after[probe]}
    assert changed == {"clone3", "unshare", "unshare_user"}
    assert (after["clone3"], after["unshare"]) == (errno.EINVAL, 0)


def test_sockets_are_for_standard_and_up(answers: Any) -> None:
    for probe in ("socket_inet", "socket_unix"):
        assert answers("minimal")[probe] == errno.EPERM
        assert answers("standard")[probe] == answers("privileged")[probe] == 0


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no such entries")
@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_32_bit_entries_are_closed(answers: Any, profile: str) -> None:
    assert answers(profile)["entry_32_bit"] in ("SIGSYS", "SIGSEGV")
    assert answers(profile)["entry_x32"] == -signal.SIGSYS


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_kernel_reports_the_filter_in_force(answers: Any, profile: str) -> None:
    status = answers(profile)["status"]
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == ("0" if profile == "privileged" else "1")
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
