"""Leaves everything but a plain file as an artifact, and one plain file."""

import os
import socket
import stat
from pathlib import Path

out = Path("output")
for name, target in (
    ("link", "/etc/shadow"),
    ("passwd", "/etc/passwd"),
    ("folder", "/etc"),
    ("process", "/proc/1/environ"),
    ("loop", "loop"),
):
    (out / name).symlink_to(target)
try:
    os.mkfifo(out / "fifo")
except OSError:
    pass
Path("plain").write_text("plain")
os.link("plain", out / "hard")
for target in ("/etc/shadow", "/etc/passwd"):
    try:
        os.link(target, out / "foreign")
    except OSError:
        pass
for kind in (stat.S_IFCHR, stat.S_IFBLK):
    try:
        os.mknod(out / "device", kind | 0o666, os.makedev(1, 3))
    except OSError:
        pass
try:
    socket.socket(socket.AF_UNIX).bind("output/socket")
except OSError:
    pass
with (out / "sparse").open("wb") as file:
    file.truncate(2**40)
(out / "good.txt").write_text("good")
