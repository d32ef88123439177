"""Rendering seccomp data, with and without a request's changes."""

from typing import Any

import pytest

from security_profiles import (
    BLOCKED,
    PROFILE_NAMES,
    DangerousSyscallError,
    RequiredSyscallError,
    UnknownProfileError,
    UnknownSyscallError,
    allowed_names,
    check_known,
    is_dangerous,
    render_seccomp,
)


def entries(profile: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [entry for entry in profile["syscalls"] if name in entry["names"]]


def allowed_values(profile: dict[str, Any], name: str) -> set[int]:
    return {entry["args"][0]["value"] for entry in entries(profile, name)}


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_default_is_to_refuse_with_eperm(name: str) -> None:
    profile = render_seccomp(name)
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == 1


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_only_64_bit_architectures(name: str) -> None:
    profile = render_seccomp(name)
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
    assert "archMap" not in profile


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_clone_is_allowed_without_namespace_flags_only(name: str) -> None:
    (entry,) = entries(render_seccomp(name), "clone")
    condition = {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    assert entry["args"] == [condition]


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_clone3_answers_enosys(name: str) -> None:
    (entry,) = entries(render_seccomp(name), "clone3")
    assert (entry["action"], entry["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_no_rule_has_a_negative_comparison_or_two_conditions_on_one_argument(name: str) -> None:
    for entry in render_seccomp(name)["syscalls"]:
        assert len({arg["index"] for arg in entry["args"]}) == len(entry["args"])
        assert all(a["op"] in ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ") for a in entry["args"])


def test_socket_families() -> None:
    assert allowed_values(render_seccomp("standard"), "socket") == {1, 2, 10}
    assert allowed_values(render_seccomp("standard"), "socketpair") == {1}
    assert entries(render_seccomp("minimal"), "socket") == []
    assert allowed_values(render_seccomp("minimal"), "socketpair") == {1}


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_ioctl_has_no_way_to_push_terminal_input(name: str) -> None:
    requests = allowed_values(render_seccomp(name), "ioctl")
    assert 0x5401 in requests
    assert not requests & {0x5412, 0x541C}


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_render_gives_the_same_each_time(name: str) -> None:
    calls = ["io_submit", "io_setup", "sync"]
    forward = render_seccomp(name, allowed_syscalls=calls)
    assert forward == render_seccomp(name, allowed_syscalls=reversed(calls))
    assert render_seccomp(name) == render_seccomp(name)


def test_added_call_is_allowed() -> None:
    assert entries(render_seccomp("standard"), "io_setup") == []
    (entry,) = entries(render_seccomp("standard", allowed_syscalls=["io_setup"]), "io_setup")
    assert entry["action"] == "SCMP_ACT_ALLOW"


def test_adding_socket_to_minimal_brings_its_conditions_along() -> None:
    profile = render_seccomp("minimal", allowed_syscalls=["socket"])
    assert allowed_values(profile, "socket") == {1, 2, 10}


def test_adding_what_is_there_changes_nothing() -> None:
    same = render_seccomp("standard", allowed_syscalls=["read", "ioctl", "clone"])
    assert same == render_seccomp("standard")


def test_blocked_call_is_gone() -> None:
    profile = render_seccomp("standard", blocked_syscalls=["socketpair", "mq_open"])
    assert entries(profile, "socketpair") == entries(profile, "mq_open") == []


def test_blocking_wins_over_allowing() -> None:
    profile = render_seccomp("standard", allowed_syscalls=["sync"], blocked_syscalls=["sync"])
    assert entries(profile, "sync") == []


def test_blocking_clone3_keeps_its_enosys() -> None:
    profile = render_seccomp("standard", blocked_syscalls=["clone3"])
    assert entries(profile, "clone3")[0]["errnoRet"] == 38


@pytest.mark.parametrize("name", PROFILE_NAMES)
@pytest.mark.parametrize("syscall", [*sorted(BLOCKED), "clone3"])
def test_blocked_call_cannot_be_added(name: str, syscall: str) -> None:
    words = f"^{syscall} cannot be allowed: .*AGENTCORE_EXTRA_SYSCALLS"
    others = [*BLOCKED.keys() - {syscall}]
    with pytest.raises(DangerousSyscallError, match=words):
        render_seccomp(name, allowed_syscalls=[syscall], permitted=others)


@pytest.mark.parametrize("syscall", sorted(BLOCKED))
def test_operator_can_permit_a_blocked_call_by_name(syscall: str) -> None:
    profile = render_seccomp("standard", allowed_syscalls=[syscall], permitted=[syscall])
    (entry,) = entries(profile, syscall)
    assert (entry["action"], entry["args"]) == ("SCMP_ACT_ALLOW", [])


def test_permitted_call_is_added_only_if_asked_for() -> None:
    assert render_seccomp("standard", permitted=["mount", "clone3"]) == render_seccomp("standard")


def test_permitted_clone3_no_longer_answers_enosys() -> None:
    profile = render_seccomp("standard", allowed_syscalls=["clone3"], permitted=["clone3"])
    assert [entry["action"] for entry in entries(profile, "clone3")] == ["SCMP_ACT_ALLOW"]


def test_clone3_both_permitted_and_blocked_answers_enosys() -> None:
    both = {"allowed_syscalls": ["clone3"], "blocked_syscalls": ["clone3"]}
    assert render_seccomp("standard", **both, permitted=["clone3"]) == render_seccomp("standard")


def test_unknown_permitted_call_is_named() -> None:
    with pytest.raises(UnknownSyscallError, match="'raed'"):
        render_seccomp("standard", permitted=["raed"])


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_allowed_names_are_those_of_the_rendered_filter(name: str) -> None:
    def of_json(**changes: list[str]) -> set[str]:
        rules = render_seccomp(name, **changes)["syscalls"]
        return {n for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for n in rule["names"]}

    changes = {"allowed_syscalls": ["mount"], "blocked_syscalls": ["link"], "permitted": ["mount"]}
    assert allowed_names(name) == of_json()
    assert allowed_names(name, **changes) == of_json(**changes)
    assert of_json(**changes) == of_json() - {"link"} | {"mount"}


def test_dangerous_names_are_those_no_profile_has() -> None:
    assert all(is_dangerous(name) for name in (*BLOCKED, "clone3"))
    assert not any(is_dangerous(name) for name in allowed_names("standard"))
    assert not is_dangerous("raed")


def test_first_unknown_name_is_said() -> None:
    check_known(["read", "mount", "clone3"])
    with pytest.raises(UnknownSyscallError, match="'raed'"):
        check_known(["wirte", "read", "raed"])


@pytest.mark.parametrize("option", ["allowed_syscalls", "blocked_syscalls"])
def test_unknown_call_is_named(option: str) -> None:
    with pytest.raises(UnknownSyscallError, match="'raed'"):
        render_seccomp("standard", **{option: ["raed"]})


@pytest.mark.parametrize("syscall", ["execve", "futex", "fcntl"])
def test_call_that_the_runtime_needs_cannot_be_blocked(syscall: str) -> None:
    with pytest.raises(RequiredSyscallError, match=syscall):
        render_seccomp("minimal", blocked_syscalls=[syscall])


def test_privileged_needs_the_calls_that_drop_rights() -> None:
    render_seccomp("standard", blocked_syscalls=["setuid"])
    with pytest.raises(RequiredSyscallError, match="setuid"):
        render_seccomp("privileged", blocked_syscalls=["setuid"])


def test_unknown_profile_is_refused() -> None:
    with pytest.raises(UnknownProfileError):
        render_seccomp("docker-default")


def test_only_the_own_priority_can_be_set():
    for name in ("minimal", "standard"):
        rules = [
            rule for rule in render_seccomp(name)["syscalls"] if "setpriority" in rule["names"]
        ]
        assert [[(arg["index"], arg["value"]) for arg in rule["args"]] for rule in rules] == [
            [(0, 0), (1, 0)]
        ]
