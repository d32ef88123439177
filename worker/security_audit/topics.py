"""What is read off one sandbox: each topic's verdict, for section 7."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.sandbox import SandboxConfig
from worker.sandbox.container import SUPERVISOR_PROCESSES, USER
from worker.sandbox.isolation import SECCOMP_FILTER_MODE, is_remapped, missing_layers
from worker.security_audit import apparmor, daemon
from worker.security_audit.verdicts import (
    Check,
    enforced,
    layer_is_off,
    misconfigured,
    missing_layer,
    not_enforceable,
)

REPORT = "report it: a sandbox like this must never start"
BY_PROFILE = "take the profile out of AGENTCORE_ALLOWED_PROFILES if no agent needs it"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A sandbox that told its isolation. `inside`: by itself; `engine`: by the engine."""

    spec: SandboxConfig
    isolation: dict[str, Any]
    kernel_has_apparmor: bool

    @property
    def inside(self) -> dict[str, Any]:
        """What the sandbox read off itself."""
        found: dict[str, Any] = self.isolation["inside"]
        return found

    @property
    def engine(self) -> dict[str, Any]:
        """What the engine says of it."""
        found: dict[str, Any] = self.isolation["engine"]
        return found


def capability_dropping(name: str, seen: Seen) -> Check:
    """Nothing beyond the profile's capabilities can ever be got back."""
    bounding = set(seen.inside["capabilities"]["bounding"])
    beyond = sorted(bounding - set(seen.spec.profile.allowed_capabilities))
    if beyond:
        return misconfigured(name, f"more than the profile has: {', '.join(beyond)}", REPORT)
    kept = f" but: {', '.join(sorted(bounding))}" if bounding else ""
    return enforced(name, f"all dropped{kept}")


def read_only_root(name: str, seen: Seen) -> Check:
    """The root file system cannot be written."""
    mount = seen.inside["mounts"].get("/", "unknown")
    if mount.partition(" ")[2].split(",")[0] == "ro":
        return enforced(name, mount)
    if not seen.spec.profile.read_only_filesystem:
        return not_enforceable(name, "writable, as the profile says", BY_PROFILE)
    return misconfigured(name, f"writable: {mount}", REPORT)


def security_options(name: str, seen: Seen) -> Check:
    """The seccomp filter in force is the one rendered from the profile."""
    wanted, given = seen.isolation["asked"]["seccomp_sha256"], seen.engine["seccomp_sha256"]
    if seen.inside["seccomp_mode"] != SECCOMP_FILTER_MODE:
        return misconfigured(name, f"seccomp mode {seen.inside['seccomp_mode']}", REPORT)
    if given != wanted or seen.engine["privileged"]:
        return misconfigured(name, "privileged, or with another seccomp filter", REPORT)
    filters = seen.inside["seccomp_filters"]
    said = f"{filters} seccomp filter(s), {seen.spec.profile.seccomp_profile}"
    return enforced(name, f"{said} {wanted[:12]}")


def no_new_privileges(name: str, seen: Seen) -> Check:
    """Programs with the setuid bit or capabilities in the file give nothing."""
    if seen.inside["no_new_privileges"]:
        return enforced(name, "on")
    if not seen.spec.profile.no_new_privileges:
        return not_enforceable(name, "off, as the profile says", BY_PROFILE)
    return misconfigured(name, "off", REPORT)


def process_limit(name: str, seen: Seen) -> Check:
    """The pids cgroup holds the program and the supervisor, and no more."""
    limit = seen.inside["cgroup"]["pids_limit"]
    wanted = seen.spec.limits.processes + SUPERVISOR_PROCESSES
    if limit.isdecimal() and int(limit) <= wanted:
        return enforced(name, f"{limit} processes, the supervisor included")
    return misconfigured(name, f"{limit or 'none'}, where {wanted} was asked", REPORT)


def memory_limits(name: str, seen: Seen) -> Check:
    """Memory is limited, and swap does not add to it."""
    wanted = str(seen.spec.limits.memory_mb * 1024 * 1024)
    memory = seen.inside["cgroup"]["memory_limit"]
    swap = seen.inside["cgroup"]["memory_swap_limit"]
    if memory != wanted:
        return misconfigured(name, f"{memory or 'none'}, where {wanted} was asked", REPORT)
    said = f"{seen.spec.limits.memory_mb} MiB"
    if not swap:
        advice = "boot with `swapaccount=1`, or run the host without swap"
        return not_enforceable(name, f"{said}; this kernel counts no swap", advice)
    # cgroup v1 counts memory and swap together, v2 swap alone.
    if swap in (wanted, "0"):
        return enforced(name, f"{said}, no swap")
    return misconfigured(name, f"{said}, and swap up to {swap}", REPORT)


def interfaces(name: str, seen: Seen) -> Check:
    """Nothing but loopback."""
    others = [one for one in seen.inside["interfaces"] if one != "lo"]
    if others:
        return misconfigured(name, ", ".join(others), REPORT)
    return enforced(name, "none but loopback")


def non_root_user(name: str, seen: Seen) -> Check:
    """User and group are ours."""
    user = f"{seen.inside['uid']}:{seen.inside['gid']}"
    return enforced(name, user) if user == USER else misconfigured(name, user, REPORT)


def _missing(seen: Seen, layer: str) -> str | None:
    """What lacks, in the worker's words but without the layer's name in front."""
    words = missing_layers(seen.spec, seen.isolation).get(layer)
    return None if words is None else words.rpartition(": ")[2]


def apparmor_label(name: str, seen: Seen) -> Check:
    """The profile's AppArmor rules hold."""
    mode, label = seen.spec.apparmor, seen.inside["apparmor"]
    if mode == "off":
        return layer_is_off(name, apparmor.VARIABLE)
    missing = _missing(seen, "apparmor")
    if missing is None:
        return enforced(name, label)
    if seen.kernel_has_apparmor:
        return misconfigured(name, missing, apparmor.LOAD)
    return missing_layer(name, mode, apparmor.VARIABLE, missing, "see section 2")


def user_namespace(name: str, seen: Seen) -> Check:
    """Root inside is nobody outside."""
    mode, mapping = seen.spec.user_namespace, seen.inside["uid_map"]
    if mode == "off":
        return layer_is_off(name, daemon.VARIABLE)
    missing = _missing(seen, "user_namespace")
    if missing is not None:
        return missing_layer(name, mode, daemon.VARIABLE, missing, "see section 1")
    if not is_remapped(mapping):
        return not_enforceable(name, "the profile does not ask for it", "see section 1")
    return enforced(name, f"user 0 inside is {' '.join(mapping[1:2])} outside")


def host_mounts(name: str, seen: Seen) -> Check:
    """Nothing of the host's file system is inside."""
    found = [*seen.engine["binds"], *seen.engine["volumes"], *seen.inside["other_mounts"]]
    if found:
        return misconfigured(name, "; ".join(found), REPORT)
    return enforced(name, "none")


TOPICS: dict[str, Callable[[str, Seen], Check]] = {
    "capability dropping": capability_dropping,
    "read-only root": read_only_root,
    "security options": security_options,
    "no new privileges": no_new_privileges,
    "process limit": process_limit,
    "memory and swap limits": memory_limits,
    "network interfaces": interfaces,
    "non-root user": non_root_user,
    "AppArmor label": apparmor_label,
    "user namespace": user_namespace,
    "host mounts": host_mounts,
}
"""What is read off each sandbox."""
