"""The security profile as a contract; its content comes from `security_profiles`."""

from typing import Literal

from pydantic import Field

import security_profiles
from models.limits import NetworkAccess
from models.types import Contract

ProfileName = Literal["minimal", "standard", "privileged"]
AppArmorName = Literal["agentcore-minimal", "agentcore-standard", "docker-default", "unconfined"]


class SecurityProfile(Contract):
    """One named set of sandbox rules."""

    profile_name: ProfileName = "standard"
    seccomp_profile: Literal["agentcore-minimal", "agentcore-standard"] = "agentcore-standard"
    apparmor_profile: AppArmorName = "agentcore-standard"
    allowed_capabilities: tuple[str, ...] = Field((), max_length=41)
    read_only_filesystem: bool = True
    no_new_privileges: bool = True
    user_namespace: bool = True
    allowed_syscalls: tuple[str, ...] = Field((), max_length=500)
    blocked_syscalls: tuple[str, ...] = Field((), max_length=500)
    network_default: NetworkAccess = NetworkAccess.RESTRICTED
    restricted_python_default: bool = False
    description: str = ""


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
