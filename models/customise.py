"""What a request may change in its security profile.

Stricter is always allowed. Looser is allowed up to a line that the operator can move:

- minimal and standard may add the calls and capabilities that standard has, nothing else;
- privileged, which an operator must enable by name, may add any that is not dangerous;
- what the settings name in AGENTCORE_EXTRA_* may be added besides, dangerous ones included.
"""

from collections.abc import Callable
from typing import Any

import security_profiles
from models.errors import RequestRefusedError
from models.security import SecurityOptions, SecurityProfile, named_profile
from models.settings import Settings
from security_profiles import ProfileError

GROUP = "security_options"
PRIVILEGED = "privileged"
# From the strictest to none at all.
APPARMOR_ORDER = ("agentcore-minimal", "agentcore-standard", "docker-default", "unconfined")


def customise(
    profile: SecurityProfile, options: SecurityOptions, settings: Settings
) -> SecurityProfile:
    """Return the profile with the request's changes. Raises RequestRefusedError."""
    changes: dict[str, Any] = {
        name: rule(profile, options, settings)
        for name, rule in _RULES.items()
        if getattr(options, name) not in (None, ())
    }
    return profile.model_copy(update=changes) if changes else profile


def loosened(profile: SecurityProfile) -> tuple[str, ...]:
    """Return the security options by which a resolved profile is looser than its name says."""
    own = named_profile(profile.profile_name)
    apparmor = APPARMOR_ORDER.index
    added = set(profile.allowed_syscalls) - set(profile.blocked_syscalls)
    looser = {
        # To know what a profile allows takes a while, and hardly a request adds anything.
        "allowed_syscalls": bool(added)
        and not added <= security_profiles.allowed_names(profile.profile_name),
        "allowed_capabilities": (
            not set(profile.allowed_capabilities) <= set(own.allowed_capabilities)
        ),
        "read_only_filesystem": own.read_only_filesystem and not profile.read_only_filesystem,
        "no_new_privileges": own.no_new_privileges and not profile.no_new_privileges,
        "apparmor_profile": apparmor(profile.apparmor_profile) > apparmor(own.apparmor_profile),
    }
    return tuple(name for name, is_looser in looser.items() if is_looser)


def _refuse(name: str, why: str) -> RequestRefusedError:
    return RequestRefusedError(f"{GROUP}.{name}", why)


def _allowed_syscalls(
    profile: SecurityProfile, options: SecurityOptions, settings: Settings
) -> tuple[str, ...]:
    names = tuple(sorted(set(options.allowed_syscalls)))
    ceiling = security_profiles.allowed_names("standard") | set(settings.extra_syscalls)
    if profile.profile_name != PRIVILEGED and (over := sorted(set(names) - ceiling)):
        raise _refuse(
            "allowed_syscalls",
            f"{', '.join(over[:5])}: {profile.profile_name} may add only what standard allows, "
            "and what the operator names in AGENTCORE_EXTRA_SYSCALLS",
        )
    _check_rendering("allowed_syscalls", profile, settings, allowed_syscalls=names)
    return names


def _blocked_syscalls(
    profile: SecurityProfile, options: SecurityOptions, settings: Settings
) -> tuple[str, ...]:
    names = tuple(sorted(set(options.blocked_syscalls)))
    _check_rendering("blocked_syscalls", profile, settings, blocked_syscalls=names)
    return names


def _check_rendering(
    name: str, profile: SecurityProfile, settings: Settings, **syscalls: tuple[str, ...]
) -> None:
    try:
        security_profiles.render_seccomp(
            profile.profile_name, permitted=settings.extra_syscalls, **syscalls
        )
    except ProfileError as error:
        raise _refuse(name, str(error)) from error


def _allowed_capabilities(
    profile: SecurityProfile, options: SecurityOptions, settings: Settings
) -> tuple[str, ...]:
    names = set(options.allowed_capabilities)
    extra = settings.extra_capabilities
    try:
        security_profiles.check_capabilities(sorted(names), permitted=extra)
    except ProfileError as error:
        raise _refuse("allowed_capabilities", str(error)) from error
    ceiling = {*security_profiles.STANDARD_CAPABILITIES, *extra}
    if profile.profile_name != PRIVILEGED and (over := sorted(names - ceiling)):
        raise _refuse(
            "allowed_capabilities",
            f"{', '.join(over)}: {profile.profile_name} may add only what standard has, "
            "and what the operator names in AGENTCORE_EXTRA_CAPABILITIES",
        )
    return tuple(sorted(names.union(profile.allowed_capabilities)))


def _read_only_filesystem(
    profile: SecurityProfile, options: SecurityOptions, settings: Settings
) -> bool:
    wanted = bool(options.read_only_filesystem)
    if not wanted and profile.read_only_filesystem:
        if profile.profile_name == "minimal":
            raise _refuse("read_only_filesystem", "the minimal profile is always read-only")
        if not settings.allow_writable_root:
            raise _refuse(
                "read_only_filesystem",
                "a writable root is not enabled here (AGENTCORE_ALLOW_WRITABLE_ROOT)",
            )
    return wanted


def _no_new_privileges(
    profile: SecurityProfile, options: SecurityOptions, _settings: Settings
) -> bool:
    wanted = bool(options.no_new_privileges)
    if not wanted and profile.no_new_privileges:
        raise _refuse("no_new_privileges", "only the privileged profile runs without it")
    return wanted


def _apparmor_profile(
    profile: SecurityProfile, options: SecurityOptions, settings: Settings
) -> str:
    wanted = options.apparmor_profile or profile.apparmor_profile
    looser = APPARMOR_ORDER.index(wanted) > APPARMOR_ORDER.index(profile.apparmor_profile)
    if looser and wanted not in settings.extra_apparmor_profiles:
        raise _refuse(
            "apparmor_profile",
            f"{wanted} is weaker than {profile.apparmor_profile} and not enabled here "
            "(AGENTCORE_EXTRA_APPARMOR_PROFILES)",
        )
    return wanted


_RULES: dict[str, Callable[[SecurityProfile, SecurityOptions, Settings], Any]] = {
    "allowed_syscalls": _allowed_syscalls,
    "blocked_syscalls": _blocked_syscalls,
    "allowed_capabilities": _allowed_capabilities,
    "read_only_filesystem": _read_only_filesystem,
    "no_new_privileges": _no_new_privileges,
    "apparmor_profile": _apparmor_profile,
}
