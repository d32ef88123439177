"""The values of the three profiles."""

import dataclasses

import pytest

from security_profiles import (
    DEFAULT_PROFILE,
    PROFILE_NAMES,
    UnknownProfileError,
    get_profile,
)


def test_every_name_has_its_profile() -> None:
    assert [get_profile(name).profile_name for name in PROFILE_NAMES] == list(PROFILE_NAMES)


def test_standard_is_the_default() -> None:
    assert DEFAULT_PROFILE == "standard"


def test_unknown_name_names_the_valid_ones() -> None:
    with pytest.raises(UnknownProfileError, match="minimal, standard, privileged"):
        get_profile("root")


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_profile("minimal").no_new_privileges = False  # type: ignore[misc]


def test_minimal_grants_nothing() -> None:
    profile = get_profile("minimal")
    assert profile.allowed_capabilities == ()
    assert profile.read_only_filesystem
    assert profile.no_new_privileges
    assert profile.user_namespace
    assert profile.network_default == "none"
    assert profile.restricted_python_default


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_what_restricted_programs_import_reaches_neither_system_nor_interpreter(name: str) -> None:
    imports = get_profile(name).restricted_python_imports
    assert {"json", "math", "re", "datetime", "collections", "itertools", "statistics"} <= {
        *imports
    }
    assert len(imports) == len({*imports})
    hidden = (
        "os subprocess socket pathlib shutil importlib inspect ctypes gc pickle logging builtins"
    )
    assert not {*hidden.split()} & {*imports}


def test_only_privileged_may_gain_privileges_and_write_its_root() -> None:
    lax = [n for n in PROFILE_NAMES if not get_profile(n).no_new_privileges]
    writable = [n for n in PROFILE_NAMES if not get_profile(n).read_only_filesystem]
    assert lax == writable == ["privileged"]


def test_no_profile_holds_a_capability_that_owns_the_host() -> None:
    forbidden = {
        "SYS_ADMIN",
        "SYS_MODULE",
        "SYS_BOOT",
        "SYS_RAWIO",
        "DAC_READ_SEARCH",
        "SYS_PTRACE",
    }
    for name in PROFILE_NAMES:
        capabilities = get_profile(name).allowed_capabilities
        assert not forbidden.intersection(capabilities)
        assert not any(capability.startswith("CAP_") for capability in capabilities)


def test_privileged_shares_the_filters_of_standard() -> None:
    standard, privileged = get_profile("standard"), get_profile("privileged")
    assert privileged.seccomp_profile == standard.seccomp_profile == "agentcore-standard"
    assert privileged.apparmor_profile == standard.apparmor_profile == "agentcore-standard"
    assert privileged.allowed_capabilities == standard.allowed_capabilities
