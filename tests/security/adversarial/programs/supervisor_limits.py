"""Sets the supervisor's limits, priority and processors, and its files."""

import os
import resource

from attempt import attempt, attempt_write, report

GUEST = "/usr/local/lib/agentcore/guest"
for which in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NOFILE):
    attempt(f"limit {which}", resource.prlimit, 1, which, (0, 0))
for which, who in ((os.PRIO_PROCESS, 1), (os.PRIO_USER, 0), (os.PRIO_PGRP, 1)):
    attempt(f"priority {which}", os.setpriority, which, who, 19)
attempt("processors", os.sched_setaffinity, 1, {0})
attempt("idle", os.sched_setscheduler, 1, os.SCHED_IDLE, os.sched_param(0))
for name in (*os.listdir(GUEST), "new.py"):
    attempt(f"open {name}", os.open, f"{GUEST}/{name}", os.O_WRONLY | os.O_CREAT)
for path in ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/etc/passwd", "/usr/bin/python3"):
    attempt_write(path)
report()
