"""What a request may change in its profile: stricter always, looser up to the operator's line."""

import pytest

from models.customise import customise, loosened
from models.errors import RequestRefusedError
from models.security import SecurityOptions, named_profile
from models.settings import Settings
from security_profiles import BLOCKED, STANDARD_CAPABILITIES


def settings(**changes):
    return Settings(database_url="postgresql://x", broker_url="redis://x", **changes)


def customised(profile, settings_changes=None, **options):
    made = SecurityOptions.model_validate(options)
    return customise(named_profile(profile), made, settings(**settings_changes or {}))


def refusal(profile, settings_changes=None, **options):
    with pytest.raises(RequestRefusedError) as refused:
        customised(profile, settings_changes, **options)
    return refused.value


def test_no_options_leave_the_profile_alone():
    assert customised("standard") == named_profile("standard")


@pytest.mark.parametrize("profile", ["minimal", "standard", "privileged"])
@pytest.mark.parametrize(
    "options",
    [
        {"blocked_syscalls": ["symlink", "link"]},
        {"read_only_filesystem": True},
        {"no_new_privileges": True},
        {"apparmor_profile": "agentcore-minimal"},
    ],
)
def test_stricter_is_always_allowed(profile, options):
    made = customised(profile, **options)
    (name,) = options
    wanted = options[name]
    assert getattr(made, name) == (tuple(sorted(wanted)) if isinstance(wanted, list) else wanted)


def test_minimal_may_add_what_standard_has():
    made = customised("minimal", allowed_syscalls=["socket"], allowed_capabilities=["CHOWN"])
    assert made.allowed_syscalls == ("socket",)
    assert made.allowed_capabilities == ("CHOWN",)


@pytest.mark.parametrize("profile", ["minimal", "standard"])
def test_calls_beyond_standard_need_the_operators_word(profile):
    found = refusal(profile, allowed_syscalls=["io_setup"])
    assert found.field == "security_options.allowed_syscalls"
    assert "io_setup" in found.message
    assert "AGENTCORE_EXTRA_SYSCALLS" in found.message
    made = customised(profile, {"extra_syscalls": ("io_setup",)}, allowed_syscalls=["io_setup"])
    assert made.allowed_syscalls == ("io_setup",)


def test_privileged_may_add_what_is_not_dangerous():
    options = {"allowed_syscalls": ["io_setup"], "allowed_capabilities": ["NET_RAW"]}
    made = customised("privileged", **options)
    assert made.allowed_syscalls == ("io_setup",)
    assert set(made.allowed_capabilities) == {"NET_RAW", *STANDARD_CAPABILITIES}


@pytest.mark.parametrize("profile", ["minimal", "standard", "privileged"])
@pytest.mark.parametrize("name", sorted(BLOCKED))
def test_a_blocked_call_is_refused_everywhere(profile, name):
    assert name in refusal(profile, allowed_syscalls=[name]).message


def test_the_operator_can_permit_a_dangerous_call_by_name():
    made = customised("privileged", {"extra_syscalls": ("ptrace",)}, allowed_syscalls=["ptrace"])
    assert made.allowed_syscalls == ("ptrace",)


DANGEROUS = ["SYS_ADMIN", "SYS_MODULE", "SYS_BOOT", "SYS_RAWIO", "DAC_READ_SEARCH"]


@pytest.mark.parametrize("profile", ["minimal", "standard", "privileged"])
@pytest.mark.parametrize("name", DANGEROUS)
def test_a_dangerous_capability_is_refused_unless_the_settings_name_it(profile, name):
    found = refusal(profile, allowed_capabilities=[name])
    assert found.field == "security_options.allowed_capabilities"
    assert name in found.message
    made = customised(profile, {"extra_capabilities": (name,)}, allowed_capabilities=[name])
    assert name in made.allowed_capabilities


@pytest.mark.parametrize("profile", ["minimal", "standard"])
def test_capabilities_beyond_standard_need_the_operators_word(profile):
    assert "NET_ADMIN" in refusal(profile, allowed_capabilities=["NET_ADMIN"]).message


def test_a_call_that_every_container_needs_cannot_be_blocked():
    found = refusal("minimal", blocked_syscalls=["execve"])
    assert found.field == "security_options.blocked_syscalls"
    assert "execve" in found.message


def test_a_writable_root_is_for_standard_where_it_is_enabled():
    enabled = {"allow_writable_root": True}
    assert refusal("standard", read_only_filesystem=False).field.endswith("read_only_filesystem")
    assert customised("standard", enabled, read_only_filesystem=False).read_only_filesystem is False
    assert "minimal" in refusal("minimal", enabled, read_only_filesystem=False).message


@pytest.mark.parametrize("profile", ["minimal", "standard"])
def test_only_privileged_runs_without_no_new_privileges(profile):
    assert refusal(profile, no_new_privileges=False).field.endswith("no_new_privileges")
    assert customised("privileged", no_new_privileges=False).no_new_privileges is False


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("minimal", "agentcore-standard"),
        ("standard", "docker-default"),
        ("privileged", "unconfined"),
    ],
)
def test_weaker_apparmor_needs_the_operators_word(profile, name):
    assert name in refusal(profile, apparmor_profile=name).message
    made = customised(profile, {"extra_apparmor_profiles": (name,)}, apparmor_profile=name)
    assert made.apparmor_profile == name


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("allowed_syscalls", "opne", "opne"),
        ("blocked_syscalls", "x" * 41, "40"),
        ("allowed_capabilities", "CAP_NET_RAW", "CAP_"),
        ("allowed_capabilities", "NET_ROW", "NET_ROW"),
        ("apparmor_profile", "mine", "agentcore-minimal"),
    ],
)
def test_an_unknown_name_is_refused_where_it_stands(field, value, word):
    given = value if field == "apparmor_profile" else [value]
    with pytest.raises(ValueError, match=word) as refused:
        SecurityOptions.model_validate({field: given})
    assert field in str(refused.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"allowed_syscalls": ["read"]}, ()),  # the profile has it
        ({"allowed_syscalls": ["socket"], "blocked_syscalls": ["socket"]}, ()),
        ({"allowed_syscalls": ["socket"]}, ("allowed_syscalls",)),
        ({"allowed_capabilities": ["CHOWN"]}, ("allowed_capabilities",)),
        ({"blocked_syscalls": ["link"], "no_new_privileges": True}, ()),
    ],
)
def test_only_what_lets_more_through_counts_as_looser(options, told):
    assert loosened(customised("minimal", **options)) == told
