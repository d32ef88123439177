"""Writes the kernel's switches: sysrq, core_pattern, modprobe, /sys, release_agent."""

import os
from pathlib import Path

from attempt import attempt, attempt_write, report

for name in (
    "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname", "/proc/sys/kernel/randomize_va_space", "/proc/sys/vm/panic_on_oom",
    "/proc/sys/fs/binfmt_misc/register", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/sysrq",
    "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/devices/devices.allow",
    "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory.max", "/proc/self/attr/current",
    "/proc/irq/0/smp_affinity", "/proc/scsi/scsi", "/proc/self/sessionid", "/proc/self/loginuid",
):  # fmt: skip
    attempt_write(name, b"1")
for top, _, _ in os.walk("/sys/fs/cgroup"):
    for name in ("release_agent", "notify_on_release", "cgroup.procs", "tasks"):
        path = Path(top, name)
        attempt(f"open {path}", os.open, path, os.O_WRONLY)
    attempt(f"group in {top}", os.mkdir, f"{top}/new")
attempt("own priority for memory", Path("/proc/self/oom_score_adj").write_text, "-1000")
report()
