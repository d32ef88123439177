"""Executes a copied program from every writable folder and from memory; what starts all the same
must be as confined as its parent."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from attempt import attempt, call, escaped, report

CONFINEMENT = ("Seccomp:", "NoNewPrivs:", "CapPrm:", "CapEff:", "CapBnd:", "Uid:")
SHOW = "print(open('/proc/self/status').read())"


def confinement(status):
    return [line for line in status.splitlines() if line.startswith(CONFINEMENT)]


own = confinement(Path("/proc/self/status").read_text())


def start(path, *descriptors):
    done = subprocess.run(
        [path, "-c", SHOW], capture_output=True, text=True, pass_fds=descriptors, check=True
    )
    if confinement(done.stdout) != own:
        escaped.append(f"{path} is less confined")


def from_folder(folder):
    copy = Path(folder, "copy")
    shutil.copyfile(sys.executable, copy)
    copy.chmod(0o755)
    try:
        start(copy)
    finally:
        copy.unlink()


def from_memory():
    descriptor = call("memfd_create", b"copy", 0)
    os.write(descriptor, Path(sys.executable).read_bytes())
    start(f"/proc/self/fd/{descriptor}", descriptor)


for folder in ("/tmp", "/dev/shm", "/workspace"):
    attempt(folder, from_folder, folder)
attempt("memfd", from_memory)
report()
