"""Reads the kernel's memory, log and keys, and the disks."""

import os
import stat
from pathlib import Path

from attempt import attempt, attempt_call, attempt_read, call, escaped, report

for name in (
    "/proc/kcore", "/proc/kmsg", "/dev/kmsg", "/dev/mem", "/dev/kmem", "/dev/port", "/proc/keys",
    "/proc/timer_list", "/proc/sched_debug", "/proc/vmallocinfo", "/proc/slabinfo", "/dev/sda",
    "/dev/vda", "/dev/nvme0n1", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/proc/kpagecount",
    "/sys/kernel/debug/tracing/trace", "/sys/firmware/dmi/tables/DMI", "/dev/cpu/0/msr",
    "/sys/kernel/security/apparmor/profiles", "/etc/shadow", "/etc/gshadow",
    "/proc/1/root/etc/shadow",
):  # fmt: skip
    attempt_read(name)
attempt_call("syslog", 3, b"\0" * 64, 64, label="log")
attempt_call("syslog", 10, 0, 0, label="size of the log")
for kind, number in (("b", os.makedev(254, 0)), ("b", os.makedev(8, 0)), ("c", os.makedev(1, 1))):
    mode = (stat.S_IFBLK if kind == "b" else stat.S_IFCHR) | 0o600
    attempt(f"make {kind} {number:#x}", call, "mknodat", -100, b"device", mode, number)
known = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
for top, _, files in os.walk("/dev"):
    for name in files:
        path = Path(top, name)
        mode = path.lstat().st_mode
        if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and name not in known):
            escaped.append(f"device {path}")
symbols = Path("/proc/kallsyms")
if symbols.exists() and any(line[:16].strip("0 ") for line in symbols.open()):
    escaped.append("addresses of the kernel")
report()
