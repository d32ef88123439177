"""The security profile as a contract; its content comes from `security_profiles`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

import security_profiles
from models.limits import NetworkAccess
from models.types import Contract
from security_profiles import ProfileError

ProfileName = Literal["minimal", "standard", "privileged"]
AppArmorName = Literal["agentcore-minimal", "agentcore-standard", "docker-default", "unconfined"]
LayerMode = Literal["require", "prefer", "off"]
"""Of a layer that only some hosts have: refuse to run without it, use it where it is, or leave
it alone."""

MAX_SYSCALLS = 500  # in one list; there are fewer of them


def _known_syscall(name: str) -> str:
    try:
        security_profiles.check_known([name])
    except ProfileError as error:
        raise ValueError(str(error)) from error
    return name


def _known_capability(name: str) -> str:
    try:
        security_profiles.check_capabilities([name], permitted=[name])
    except ProfileError as error:
        raise ValueError(str(error)) from error
    return name


SyscallName = Annotated[str, Field(max_length=40), AfterValidator(_known_syscall)]
CapabilityName = Annotated[str, Field(max_length=40), AfterValidator(_known_capability)]


class SecurityProfile(Contract):
    """One named set of sandbox rules."""

    profile_name: ProfileName = "standard"
    seccomp_profile: Literal["agentcore-minimal", "agentcore-standard"] = "agentcore-standard"
    apparmor_profile: AppArmorName = "agentcore-standard"
    allowed_capabilities: tuple[CapabilityName, ...] = Field((), max_length=41)
    read_only_filesystem: bool = True
    no_new_privileges: bool = True
    user_namespace: bool = True
    allowed_syscalls: tuple[SyscallName, ...] = Field((), max_length=MAX_SYSCALLS)
    blocked_syscalls: tuple[SyscallName, ...] = Field((), max_length=MAX_SYSCALLS)
    network_default: NetworkAccess = NetworkAccess.RESTRICTED
    restricted_python_default: bool = False
    description: str = ""


class SecurityOptions(Contract):
    """Changes to the named profile; what is left out stays as the profile has it.

    Making it stricter is always allowed. Making it looser is, as far as the operator's settings
    go: see `models.customise`.
    """

    allowed_syscalls: tuple[SyscallName, ...] = Field(
        (), max_length=MAX_SYSCALLS, fail_fast=True, description="Added to the profile's calls"
    )
    blocked_syscalls: tuple[SyscallName, ...] = Field(
        (), max_length=MAX_SYSCALLS, fail_fast=True, description="Taken from the profile's calls"
    )
    allowed_capabilities: tuple[CapabilityName, ...] = Field(
        (),
        max_length=41,
        fail_fast=True,
        description="Added to the bounding set, as in NET_RAW; programs run as UID 1000 and hold "
        "a capability only by a file that carries it",
    )
    read_only_filesystem: bool | None = Field(None, description="Of the root file system")
    no_new_privileges: bool | None = None
    apparmor_profile: AppArmorName | None = None


def named_profile(name: str) -> SecurityProfile:
    """Return the built-in profile `name`. Raises UnknownProfileError."""
    profile = security_profiles.get_profile(name)
    return SecurityProfile.model_validate(
        {
            "profile_name": profile.profile_name,
            "seccomp_profile": profile.seccomp_profile,
            "apparmor_profile": profile.apparmor_profile,
            "allowed_capabilities": profile.allowed_capabilities,
            "read_only_filesystem": profile.read_only_filesystem,
            "no_new_privileges": profile.no_new_privileges,
            "user_namespace": profile.user_namespace,
            "network_default": profile.network_default,
            "restricted_python_default": profile.restricted_python_default,
            "description": profile.description,
        }
    )
