"""Reads, from inside, what the kernel really enforces on this container."""

from __future__ import annotations

import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CGROUP = "/sys/fs/cgroup"
MOUNTS = ("/", "/tmp", "/workspace", "/dev/shm", "/proc", "/sys")  # noqa: S108 - names of mounts
# Every container has these from its runtime, and what lies below /dev, /proc and /sys.
RUNTIME_MOUNTS = ("/dev", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
RUNTIME_TREES = ("/dev/", "/proc/", "/sys/")
MAX_OTHER_MOUNTS = 32  # told of; one is too many already
# Files by what they say: cgroup v1 first, then v2.
CGROUP_FILES = {
    "memory_limit": ("memory/memory.limit_in_bytes", "memory.max"),
    "memory_swap_limit": ("memory/memory.memsw.limit_in_bytes", "memory.swap.max"),
    "pids_limit": ("pids/pids.max", "pids.max"),
    "cpu_quota": ("cpu/cpu.cfs_quota_us", "cpu.max"),
    "cpu_period": ("cpu/cpu.cfs_period_us", ""),
}


def read() -> dict[str, Any]:
    """Return the isolation in force as plain values."""
    status = _status()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "pid": os.getpid(),
        "seccomp_mode": int(status.get("Seccomp", "0")),
        "seccomp_filters": int(status.get("Seccomp_filters", "0")),
        "no_new_privileges": status.get("NoNewPrivs") == "1",
        "capabilities": {
            name: status.get(key, "")
            for name, key in (
                ("effective", "CapEff"),
                ("permitted", "CapPrm"),
                ("inheritable", "CapInh"),
                ("bounding", "CapBnd"),
                ("ambient", "CapAmb"),
            )
        },
        "uid_map": _text("/proc/self/uid_map").split(),
        "apparmor": _text("/proc/self/attr/current") or "none",
        "cgroup": {name: _cgroup(*files) for name, files in CGROUP_FILES.items()},
        "mounts": _mounts(),
        "other_mounts": _other_mounts(),
        "interfaces": _interfaces(),
        "file_descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }


def oom_kills() -> int:
    """Return how often the kernel killed for memory here; 0 if unknown."""
    kills = _keyed("memory/memory.oom_control", "oom_kill")
    if kills is None:
        kills = _keyed("memory.events", "oom_kill")
    return kills or 0


def memory_events() -> tuple[int, int | None]:
    """Return how often the kernel killed for memory here, and the peak in bytes if known."""
    peak = _cgroup("memory/memory.max_usage_in_bytes", "memory.peak")
    return oom_kills(), int(peak) if peak.isdigit() else None


def cpu_seconds() -> float | None:
    """Return the CPU time that this container used so far, in seconds, if known."""
    nanoseconds = _cgroup("cpuacct/cpuacct.usage", "")
    if nanoseconds.isdigit():
        return int(nanoseconds) / 1e9
    microseconds = _keyed("cpu.stat", "usage_usec")
    return None if microseconds is None else microseconds / 1e6


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().strip("\x00\n ")
    except OSError:
        return ""


def _status() -> dict[str, str]:
    lines = _text("/proc/self/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _cgroup(version1: str, version2: str) -> str:
    return _text(f"{CGROUP}/{version1}") or (_text(f"{CGROUP}/{version2}") if version2 else "")


def _keyed(file: str, key: str) -> int | None:
    for line in _text(f"{CGROUP}/{file}").splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.isdigit():
            return int(value)
    return None


def _mounts() -> dict[str, str]:
    return {
        target: f"{kind} {options.partition(',lowerdir')[0]}"[:200]
        for target, kind, options in _mount_table()
        if target in MOUNTS
    }


def _other_mounts() -> list[str]:
    others = [
        f"{target} {kind} {options.partition(',')[0]}"[:200]
        for target, kind, options in _mount_table()
        if target not in (*MOUNTS, *RUNTIME_MOUNTS) and not target.startswith(RUNTIME_TREES)
    ]
    return others[:MAX_OTHER_MOUNTS]


def _mount_table() -> list[list[str]]:
    """Return target, kind and options of every mount."""
    lines = _text("/proc/self/mounts").splitlines()
    return [line.split(" ")[1:4] for line in lines]


def _interfaces() -> list[str]:
    lines = _text("/proc/self/net/dev").splitlines()[2:]
    return sorted(line.partition(":")[0].strip() for line in lines)
