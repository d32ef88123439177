"""Security profiles as Python data, rendered to seccomp JSON and AppArmor text.

Imports the standard library only. The data is in `profiles` (what each profile grants), `groups`
and `conditional` (allowed system calls), `blocked` (calls that only the operator can permit),
`capabilities` and `apparmor`.
"""

from security_profiles.additions import check_known, is_dangerous
from security_profiles.apparmor import apparmor_kernel_name, render_apparmor
from security_profiles.blocked import BLOCKED
from security_profiles.capabilities import (
    CAPABILITY_BITS,
    DANGEROUS_CAPABILITIES,
    check_capabilities,
)
from security_profiles.directory import check_directory
from security_profiles.errors import (
    CapabilityRequestError,
    DangerousCapabilityError,
    DangerousSyscallError,
    InvalidAgentIdError,
    LoadError,
    ProfileError,
    RenderError,
    RequiredSyscallError,
    SyscallRequestError,
    UnknownCapabilityError,
    UnknownProfileError,
    UnknownSyscallError,
    UnsafeDirectoryError,
)
from security_profiles.files import rendered_files, write_agent_profile
from security_profiles.loading import load_apparmor, loaded_profiles
from security_profiles.profiles import (
    DEFAULT_PROFILE,
    PROFILE_NAMES,
    STANDARD_CAPABILITIES,
    Profile,
    get_profile,
)
from security_profiles.seccomp import allowed_names, render_seccomp

__all__ = [
    "BLOCKED",
    "CAPABILITY_BITS",
    "DANGEROUS_CAPABILITIES",
    "DEFAULT_PROFILE",
    "PROFILE_NAMES",
    "STANDARD_CAPABILITIES",
    "CapabilityRequestError",
    "DangerousCapabilityError",
    "DangerousSyscallError",
    "InvalidAgentIdError",
    "LoadError",
    "Profile",
    "ProfileError",
    "RenderError",
    "RequiredSyscallError",
    "SyscallRequestError",
    "UnknownCapabilityError",
    "UnknownProfileError",
    "UnknownSyscallError",
    "UnsafeDirectoryError",
    "allowed_names",
    "apparmor_kernel_name",
    "check_capabilities",
    "check_directory",
    "check_known",
    "get_profile",
    "is_dangerous",
    "load_apparmor",
    "loaded_profiles",
    "render_apparmor",
    "render_seccomp",
    "rendered_files",
    "write_agent_profile",
]
