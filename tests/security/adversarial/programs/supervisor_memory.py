"""Traces the supervisor and reads its memory, environment and descriptors."""

import os

from attempt import BAD_POINTER, attempt, attempt_call, attempt_read, attempt_write, call, report

PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206

attempt_call("ptrace", PTRACE_ATTACH, 1, 0, 0, label="attach")
attempt_call("ptrace", PTRACE_SEIZE, 1, 0, 0, label="seize")
attempt_call("process_vm_readv", 1, BAD_POINTER, 1, BAD_POINTER, 1, 0)
attempt_call("process_vm_writev", 1, BAD_POINTER, 1, BAD_POINTER, 1, 0)
attempt_call("kcmp", 1, os.getpid(), 0, 0, 0)
attempt_call("pidfd_getfd", 3, 0, 0)
attempt("duplicate a descriptor", lambda: call("pidfd_getfd", call("pidfd_open", 1, 0), 3, 0))
for name in ("mem", "environ", "maps", "smaps", "pagemap", "auxv", "stack", "syscall", "io"):
    attempt_read(f"/proc/1/{name}")
for name in ("mem", "oom_score_adj", "clear_refs", "coredump_filter", "comm", "timerslack_ns"):
    attempt_write(f"/proc/1/{name}")
for name in ("exe", "root", "cwd", "fd/0", "fd/3", "ns/mnt", "ns/user"):
    attempt(f"link {name}", os.readlink, f"/proc/1/{name}")
for name in ("fd", "fdinfo", "map_files", "root/etc", "cwd"):
    attempt(f"list {name}", os.listdir, f"/proc/1/{name}")
report()
