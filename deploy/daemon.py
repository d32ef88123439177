"""What a dead dockerd leaves behind, and whether systemd is there to start a new one."""

from __future__ import annotations

import subprocess
from pathlib import Path

# A pid file, and the program that its pid must name for the file to be true.
PID_FILES = (
    (Path("/var/run/docker.pid"), "dockerd"),
    (Path("/var/run/docker/containerd/containerd.pid"), "containerd"),
)


def systemd_is_running() -> bool:
    """Whether systemd is this machine's init (what sd_booted(3) checks)."""
    return Path("/run/systemd/system").is_dir()


def is_stale(content: str, program: str, proc: Path = Path("/proc")) -> bool:
    """Whether a pid file's `content` names no living `program`.

    dockerd refuses to start when any process has the pid in its old file, also a stranger that got
    the number after a reboot or in a restarted container.
    """
    pid = content.strip()
    if not (pid.isascii() and pid.isdigit()):
        return True
    try:
        return (proc / pid / "comm").read_text().strip() != program
    except OSError:
        return True


def clear_stale_pid_files(prefix: tuple[str, ...]) -> list[Path]:
    """Remove the stale ones among dockerd's pid files, as root by `prefix`; returns them."""
    removed = []
    for path, program in PID_FILES:
        found = subprocess.run(
            [*prefix, "cat", str(path)], capture_output=True, text=True, check=False
        )
        if found.returncode == 0 and is_stale(found.stdout, program):
            subprocess.run([*prefix, "rm", "-f", str(path)], capture_output=True, check=False)
            removed.append(path)
    return removed
