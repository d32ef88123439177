"""Clones with new namespaces: clone with each flag, clone3 whose flags no filter can see."""

import os
import signal
import struct

from attempt import attempt_call, call, escaped, refused, report


def clone(flags):
    try:
        pid = call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
    except OSError as error:
        refused[f"clone {flags:#x}"] = error.strerror
        return
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    escaped.append(f"clone {flags:#x}")


for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
    clone(bit)
    clone(bit | 0x10000000)
    clone(bit | 1 << 40)
for flags in (0x10000000, 0x10020000, 0x80):
    # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    attempt_call("clone3", struct.pack("8Q", flags, 0, 0, 0, 0, 0, 0, 0), 64, label=f"3 {flags:#x}")
report()
