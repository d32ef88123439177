"""Gains rights by set-id bits, file capabilities, other user ids, and capabilities of its own."""

import ctypes
import os
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

from attempt import LIBC, attempt, escaped, refused, report

for top, folders, files in os.walk("/"):
    if top in ("/proc", "/sys"):
        folders.clear()
        continue
    for name in files:
        path = Path(top, name)
        try:
            if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID):
                escaped.append(f"set-id {path}")
            if "security.capability" in os.listxattr(path, follow_symlinks=False):
                escaped.append(f"capabilities {path}")
        except OSError:
            pass
for call in (os.setuid, os.setgid, os.seteuid):
    attempt(call.__name__, call, 0)
attempt("setgroups", os.setgroups, [0])
attempt("setresuid", os.setresuid, -1, 0, -1)
copy = Path("/workspace/copy")
shutil.copyfile(sys.executable, copy)
attempt("give a file away", os.chown, copy, 0, 0)
capability = struct.pack("<5I", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0)
attempt("file capability", os.setxattr, copy, "security.capability", capability)
copy.chmod(0o6755)
try:
    said = subprocess.run([copy, "-c", "import os; print(os.geteuid())"], capture_output=True)
    if said.stdout.strip() != b"1000":
        escaped.append(f"set-id copy: {said.stdout!r} {said.stderr!r}")
except OSError as error:
    refused["set-id copy"] = error.strerror
header, data = struct.pack("<II", 0x20080522, 0), struct.pack("<6I", *[0xFFFFFFFF] * 6)
if LIBC.capset(header, data) == 0:
    escaped.append("capset")
for bit in (0, 1, 6, 7, 10, 21):
    # PR_CAP_AMBIENT_RAISE
    if LIBC.prctl(ctypes.c_int(47), 2, bit, 0, 0) == 0:
        escaped.append(f"ambient {bit}")
status = Path("/proc/self/status").read_text()
for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
    if int(status.partition(f"{name}:")[2].split()[0], 16):
        escaped.append(f"{name} is not empty")
report()
