"""Whether a port is free, and if not, who has it."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from deploy.errors import PortInUseError

LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


def require_free_port(host: str, port: int, variable: str) -> None:
    """Raise `PortInUseError`, naming the owner if we may know it, when `port` is taken."""
    try:
        with socket.socket() as probe:
            # As servers do: connections that just closed do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise PortInUseError(
                f"cannot listen on {host}:{port} ({error.strerror}); set {variable} to another port"
            ) from error
        owner = listener_pid(port)
        by = f" by process {owner}" if owner else ""
        raise PortInUseError(
            f"port {port} is in use{by}; stop that program, or set {variable} to another port"
        ) from error


def listener_pid(port: int) -> int | None:
    """Return the pid that listens on TCP `port`; None if nobody does or we may not see who."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return _holder(inodes) if inodes else None


def _holder(links: set[str]) -> int | None:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(str(fd.readlink()) in links for fd in (entry / "fd").iterdir()):
                return int(entry.name)
        except OSError:
            continue  # ended meanwhile, or not ours to see
    return None
