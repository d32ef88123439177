"""The two functions that refuse, and what they say."""

import pytest

import security_profiles
from models.customise import loosened
from models.errors import PermissionDeniedError
from models.permissions import EVERYTHING, Permission, Permissions, require, require_use
from models.security import SecurityOptions, named_profile

USE = {"profile": "minimal", "image": "python", "network": "none"}
LIMITED = Permissions(
    verbs=frozenset({Permission.READ, Permission.CANCEL}),
    profiles=frozenset({"minimal"}),
    images=frozenset({"python"}),
    networks=frozenset({"none"}),
)


def test_what_was_granted_is_let_through():
    require(LIMITED, Permission.READ)
    require(LIMITED, Permission.CANCEL)
    require_use(LIMITED, **USE)


@pytest.mark.parametrize("needed", Permission)
def test_a_caller_without_a_key_may_do_everything(needed):
    require(EVERYTHING, needed)
    require_use(EVERYTHING, profile="privileged", image="any", network="full")


@pytest.mark.parametrize("needed", [Permission.SUBMIT, Permission.ADMINISTER])
def test_a_missing_permission_is_named_with_what_the_key_has(needed):
    with pytest.raises(PermissionDeniedError) as denied:
        require(LIMITED, needed)
    assert (denied.value.kind, denied.value.name) == ("permission", needed)
    assert str(denied.value) == (
        f"permission '{needed}' is not granted to this key; it has: cancel, read"
    )


@pytest.mark.parametrize(
    ("kind", "name"), [("profile", "standard"), ("image", "gone"), ("network", "restricted")]
)
def test_each_limit_is_checked_by_itself(kind, name):
    with pytest.raises(PermissionDeniedError, match=f"{kind} '{name}' is not granted") as denied:
        require_use(LIMITED, **(USE | {kind: name}))
    assert (denied.value.kind, denied.value.name) == (kind, name)


def test_a_key_that_is_limited_to_profiles_may_not_loosen_them():
    with pytest.raises(PermissionDeniedError, match="looser option 'allowed_syscalls'"):
        require_use(LIMITED, **USE, loosened=("allowed_syscalls",))
    require_use(EVERYTHING, **USE, loosened=("allowed_syscalls",))


@pytest.mark.parametrize("name", security_profiles.PROFILE_NAMES)
def test_a_profile_as_it_is_and_a_stricter_one_are_not_loosened(name):
    own = named_profile(name)
    assert loosened(own) == ()
    stricter = {
        "blocked_syscalls": ("socket",),
        "allowed_capabilities": own.allowed_capabilities[:1],
        "read_only_filesystem": True,
        "no_new_privileges": True,
        "apparmor_profile": "agentcore-minimal",
    }
    assert loosened(own.model_copy(update=stricter)) == ()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("allowed_syscalls", ("socket",)),
        ("allowed_capabilities", ("NET_BIND_SERVICE",)),
        ("read_only_filesystem", False),
        ("no_new_privileges", False),
        ("apparmor_profile", "agentcore-standard"),
        ("apparmor_profile", "unconfined"),
    ],
)
def test_each_option_that_loosens_is_named(option, value):
    assert loosened(named_profile("minimal").model_copy(update={option: value})) == (option,)


def test_every_security_option_but_blocking_is_looked_at():
    looked_at = {"allowed_syscalls", "allowed_capabilities", "read_only_filesystem",
                 "no_new_privileges", "apparmor_profile"}  # fmt: skip
    assert set(SecurityOptions.model_fields) - looked_at == {"blocked_syscalls"}


@pytest.mark.parametrize("kind", ["profiles", "images", "networks"])
def test_an_empty_list_grants_nothing(kind):
    empty = Permissions(verbs=frozenset(Permission), **{kind: frozenset()})
    with pytest.raises(PermissionDeniedError, match="it has: none"):
        require_use(empty, **USE)
