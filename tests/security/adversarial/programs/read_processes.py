"""Reads and writes the memory of its own child, and compares kernel objects."""

import os
import signal

from attempt import BAD_POINTER, attempt_call, report, sleeping_child

child = sleeping_child()
for name in ("process_vm_readv", "process_vm_writev"):
    attempt_call(name, child, 0, 0, 0, 0, 0)
    attempt_call(name, child, BAD_POINTER, 1, BAD_POINTER, 1, 0, label=f"{name} something")
for kind in range(8):
    attempt_call("kcmp", os.getpid(), child, kind, 0, 0, label=f"kcmp {kind}")
attempt_call("pidfd_getfd", -1, 0, 0)
os.kill(child, signal.SIGKILL)
report()
