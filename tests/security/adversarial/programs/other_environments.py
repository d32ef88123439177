"""Prints every environment, command line, mount and host name that it can read; the host looks for
its own secrets in it. Nothing but itself and the supervisor may be there."""

import os
import sys
from pathlib import Path

from attempt import attempt, escaped, refused, report

mine = {str(os.getpid()), "self", "thread-self"}
for folder in Path("/proc").iterdir():
    if folder.name.isdecimal() and folder.name not in mine:
        refused[folder.name] = "seen"
        if folder.name != "1":
            escaped.append(f"process {folder.name}")
        attempt(f"environment of {folder.name}", (folder / "environ").read_bytes)
for path in (
    "/proc/self/environ", "/proc/1/cmdline", "/proc/self/mountinfo", "/proc/self/cgroup",
    "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc/sys/kernel/hostname",
    "/proc/1/status", "/.dockerenv", "/proc/1/comm",
):  # fmt: skip
    try:
        sys.stdout.buffer.write(Path(path).read_bytes() + b"\n")
    except OSError:
        pass
print(dict(os.environ), os.uname())
expected = {"PATH", "HOME", "LANG", "TMPDIR", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
expected |= {"AGENTCORE_EXECUTION_ID", "LC_CTYPE", *os.environ["OWN"].split(), "OWN"}
escaped += [f"variable {name}" for name in os.environ if name not in expected]
report()
