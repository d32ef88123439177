"""Looks for the engine's socket and for any other socket of the host."""

import os
import socket
from pathlib import Path

from attempt import attempt, escaped, refused, report


def connect(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)


for path in (
    "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
    "/run/podman/podman.sock", "/run/systemd/private", "/run/dbus/system_bus_socket",
    "\0/containerd-shim", *os.environ["HOST_SOCKETS"].split(),
):  # fmt: skip
    attempt(repr(path), connect, path)
for top, folders, files in os.walk("/"):
    if top in ("/proc", "/sys"):
        folders.clear()
    escaped += [f"{top}/{name}" for name in files if Path(top, name).is_socket()]
listed = Path("/proc/net/unix").read_text().splitlines()[1:]
escaped += [f"listed: {line}" for line in listed if len(line.split()) > 7]
refused["listed"] = len(listed)
report()
