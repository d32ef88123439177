"""Compares the isolation in force with what was asked."""

import hashlib
from typing import Any

from models.limits import NetworkAccess
from models.sandbox import SandboxConfig
from models.security import LayerMode
from security_profiles import CAPABILITY_BITS
from worker.sandbox.container import (
    apparmor_name,
    descriptor_limit,
    process_limit,
    seccomp_text,
    tmpfs,
)
from worker.sandbox.full_network import NETWORK
from worker.sandbox.guest import reachability
from worker.sandbox.guest.protocol import EGRESS_FOLDER
from worker.sandbox.report import InsideReport

SECCOMP_FILTER_MODE = 2
CPU_ROUNDING = 0.001  # cores; the quota is set in whole microseconds


def asked(spec: SandboxConfig) -> dict[str, Any]:
    """Return what the sandbox is asked to be: the profile with the request's changes."""
    profile = spec.profile.model_dump(
        mode="json",
        include={
            "profile_name",
            "seccomp_profile",
            "allowed_syscalls",
            "blocked_syscalls",
            "allowed_capabilities",
            "read_only_filesystem",
            "no_new_privileges",
            "user_namespace",
        },
    )
    return {
        **profile,
        "seccomp_sha256": _sha256(seccomp_text(spec)),
        "apparmor": apparmor_name(spec.profile),
        "modes": _modes(spec),
        "restricted_python": spec.restricted_python,
    }


def describe(report: InsideReport, engine: dict[str, Any]) -> dict[str, Any]:
    """Return the isolation to record: read from inside, and what the engine says."""
    host = engine["HostConfig"]
    options = dict(option.partition("=")[::2] for option in host["SecurityOpt"] or [])
    inside = report.model_dump()
    masks = inside["capabilities"]
    capabilities = {kind: capability_names(mask) for kind, mask in masks.items()}
    return {
        "inside": {**inside, "capabilities": capabilities},
        "engine": {
            "container": engine["Id"][:12],
            "image": engine["Image"],
            "network_mode": host["NetworkMode"],
            "read_only": host["ReadonlyRootfs"],
            "privileged": host["Privileged"],
            "memory_bytes": host["Memory"],
            "memory_swap_bytes": host["MemorySwap"],
            "pids": host["PidsLimit"],
            "cpu_cores": host["CpuQuota"] / host["CpuPeriod"] if host["CpuPeriod"] else None,
            "apparmor": engine.get("AppArmorProfile") or "none",
            "seccomp_sha256": _sha256(options["seccomp"]) if "seccomp" in options else None,
            "user_namespace": host["UsernsMode"] or "engine default",
            "binds": [*(host["Binds"] or []), *_bound(engine["Mounts"])],
            "volumes": [
                mount["Destination"] for mount in engine["Mounts"] if mount.get("Type") != "bind"
            ],
        },
    }


def _bound(mounts: list[dict[str, Any]]) -> list[str]:
    return [
        f"{mount['Source']}:{mount['Destination']}:{'rw' if mount['RW'] else 'ro'}"
        for mount in mounts
        if mount.get("Type") == "bind"
    ]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def capability_names(mask: str) -> list[str]:
    """Return the names in a hexadecimal capability mask; CAP_n for a bit without a name."""
    bits = int(mask or "0", 16)
    names = {bit: name for name, bit in CAPABILITY_BITS.items()}
    return [names.get(bit, f"CAP_{bit}") for bit in range(bits.bit_length()) if bits >> bit & 1]


def weaker_than_asked(spec: SandboxConfig, isolation: dict[str, Any]) -> list[str]:
    """Return, in words, everything in force that is weaker than what was asked."""
    inside, engine = isolation["inside"], isolation["engine"]
    allowed = set(spec.profile.allowed_capabilities)
    memory = str(spec.limits.memory_mb * 1024 * 1024)
    root = inside["mounts"].get("/", "")
    checks = (
        (inside["seccomp_mode"] == SECCOMP_FILTER_MODE, "no seccomp filter"),
        (
            engine["seccomp_sha256"] == _sha256(seccomp_text(spec)),
            "the engine has another seccomp filter",
        ),
        (not inside["dumpable"], "the supervisor can be traced"),
        (
            inside["no_new_privileges"] or not spec.profile.no_new_privileges,
            "no_new_privileges is off",
        ),
        (
            inside["uid"] == inside["gid"] == 1000 and set(inside["groups"]) <= {1000},
            "runs as another user or group",
        ),
        *(
            (not inside["capabilities"][kind], f"has {kind} capabilities")
            for kind in ("effective", "permitted", "inheritable", "ambient")
        ),
        (set(inside["capabilities"]["bounding"]) <= allowed, "more capabilities than asked"),
        (
            not spec.profile.read_only_filesystem or root.split(" ")[-1].startswith("ro"),
            "the root file system is writable",
        ),
        (_network_as_asked(spec, inside, engine), "has another network than asked"),
        (inside["cgroup"]["memory_limit"] == memory, "the memory limit is not in force"),
        (_pids(inside) <= process_limit(spec), "the process limit is not in force"),
        (_cores(inside) <= spec.limits.cpu_cores + CPU_ROUNDING, "the CPU limit is not in force"),
        (_no_swap(inside, memory), "swap is allowed"),
        (
            inside["file_descriptors"] <= descriptor_limit(spec),
            "the descriptor limit is not in force",
        ),
        *(
            (_within(inside["mounts"].get(path, ""), wanted), f"{path} is no tmpfs as asked")
            for path, wanted in tmpfs(spec).items()
        ),
        (not engine["privileged"], "runs as a privileged container"),
        (
            _only_egress(spec, engine["binds"], "/", f":{EGRESS_FOLDER}:ro"),
            "a folder of the host is mounted",
        ),
        (not engine["volumes"], "the image brings a volume, which lies on the host's disk"),
        (
            _only_egress(spec, inside["other_mounts"], f"{EGRESS_FOLDER} ", " ro"),
            "something else is mounted",
        ),
    )
    return [words for holds, words in checks if not holds]


def _network_as_asked(spec: SandboxConfig, inside: dict[str, Any], engine: dict[str, Any]) -> bool:
    if spec.network_access is NetworkAccess.FULL:
        return bool(engine["network_mode"] == NETWORK and inside["interfaces"] == ["eth0", "lo"])
    return bool(engine["network_mode"] == "none" and inside["interfaces"] in ([], ["lo"]))


def _only_egress(spec: SandboxConfig, mounts: list[str], begin: str, end: str) -> bool:
    """Whether what is mounted is the folder of the egress proxy, read-only, where that is asked."""
    wanted = 1 if spec.uses_egress_proxy else 0
    return len(mounts) == wanted and all(
        mount.startswith(begin) and mount.endswith(end) for mount in mounts
    )


def _pids(inside: dict[str, Any]) -> float:
    limit = inside["cgroup"]["pids_limit"]
    return int(limit) if limit.isdecimal() else float("inf")


def _cores(inside: dict[str, Any]) -> float:
    """Return the CPU limit in cores, from cgroup v1's two files or v2's one."""
    cgroup = inside["cgroup"]
    quota, _, period = f"{cgroup['cpu_quota']} {cgroup['cpu_period']}".partition(" ")
    period = period.split(" ")[0]
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return float("inf")
    return int(quota) / int(period)


def _no_swap(inside: dict[str, Any], memory: str) -> bool:
    # v1 counts memory and swap together, v2 swap alone; empty where the kernel counts no swap.
    return inside["cgroup"]["memory_swap_limit"] in (memory, "0", "")


def _within(mount: str, wanted: str) -> bool:
    """Whether a mount is a tmpfs no larger and no freer than asked."""
    kind, _, options = mount.partition(" ")
    given, asked = _options(options), _options(wanted)
    flags = {"nosuid", "nodev", "noexec"} & asked.keys()
    # The kernel writes the size in KiB; it was asked for in MiB.
    size, files = given.get("size", ""), given.get("nr_inodes", "")
    return (
        kind == "tmpfs"
        and flags <= given.keys()
        and size.endswith("k")
        and int(size[:-1]) <= int(asked["size"][:-1]) * 1024
        and files.isdecimal()
        and int(files) <= int(asked["nr_inodes"])
    )


def _options(text: str) -> dict[str, str]:
    return dict(option.partition("=")[::2] for option in text.split(","))


def missing_layers(spec: SandboxConfig, isolation: dict[str, Any]) -> dict[str, str]:
    """Return the wanted layers that this host does not give, each in words.

    They are the host's to give (a kernel with AppArmor, an engine that remaps users); the settings
    say whether a sandbox may run without.
    """
    inside, missing = isolation["inside"], {}
    name = apparmor_name(spec.profile)
    # Complaining about what a profile forbids is not forbidding it.
    in_force = ("unconfined", "none") if name == "unconfined" else (f"{name} (enforce)",)
    if spec.apparmor != "off" and inside["apparmor"] not in in_force:
        missing["apparmor"] = f"AppArmor: {name} asked, {inside['apparmor']} in force"
    mode = spec.user_namespace
    wanted = mode == "require" or (mode == "prefer" and spec.profile.user_namespace)
    if wanted and not is_remapped(inside["uid_map"]):
        missing["user_namespace"] = "user namespace: asked, but the engine remaps no users"
    if spec.network_access is NetworkAccess.FULL and spec.full_network != "off":
        missing |= _open_host(inside["reachability"])
    return missing


def _open_host(found: dict[str, str]) -> dict[str, str]:
    """Return the words for a host, or its cloud's metadata, that is not closed to `full`."""
    # The kernel limits how often it says "prohibited", so that a closed gateway may be silent.
    closed = found.get("metadata") == reachability.CLOSED and found.get("gateway") in (
        reachability.CLOSED,
        reachability.SILENT,
    )
    if closed:
        return {}
    seen = (
        "this sandbox reaches the host or its cloud's metadata service"
        if reachability.OPEN in found.values()
        else "nothing shows that the host and metadata services are closed"
    )
    return {
        "full_network": f"full network: {seen}; "
        "as root on the Docker host: python -m worker full-network apply"
    }


def is_remapped(uid_map: list[str]) -> bool:
    """Whether root inside is somebody else outside; an unreadable map counts as not."""
    return len(uid_map) >= 3 and uid_map[1].isdecimal() and int(uid_map[1]) > 0


def required(spec: SandboxConfig, missing: dict[str, str]) -> list[str]:
    """Return which of the missing layers the settings require."""
    modes = _modes(spec)
    return [layer for layer in missing if modes[layer] == "require"]


def _modes(spec: SandboxConfig) -> dict[str, LayerMode]:
    return {
        "apparmor": spec.apparmor,
        "user_namespace": spec.user_namespace,
        "full_network": spec.full_network,
    }
