"""Security profiles as Python data, rendered to seccomp JSON and AppArmor text.

Imports the standard library only. The data is in `profiles` (what each profile grants), `groups`
and `conditional` (allowed system calls), `blocked` (calls nobody gets) and `apparmor`.
"""

from security_profiles.apparmor import render_apparmor
from security_profiles.blocked import BLOCKED
from security_profiles.errors import (
    DangerousSyscallError,
    InvalidAgentIdError,
    ProfileError,
    RenderError,
    RequiredSyscallError,
    SyscallRequestError,
    UnknownProfileError,
    UnknownSyscallError,
    UnsafeDirectoryError,
)
from security_profiles.files import rendered_files, write_agent_profile
from security_profiles.profiles import DEFAULT_PROFILE, PROFILE_NAMES, Profile, get_profile
from security_profiles.seccomp import render_seccomp

__all__ = [
    "BLOCKED",
    "DEFAULT_PROFILE",
    "PROFILE_NAMES",
    "DangerousSyscallError",
    "InvalidAgentIdError",
    "Profile",
    "ProfileError",
    "RenderError",
    "RequiredSyscallError",
    "SyscallRequestError",
    "UnknownProfileError",
    "UnknownSyscallError",
    "UnsafeDirectoryError",
    "get_profile",
    "render_apparmor",
    "render_seccomp",
    "rendered_files",
    "write_agent_profile",
]
