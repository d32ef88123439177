"""Goes for a process and a file of the host by their numbers and names."""

import os

from attempt import attempt, attempt_read, report

pid, path = int(os.environ["CANARY_PID"]), os.environ["CANARY_FILE"]
if pid > 300:  # small numbers are our own processes
    attempt("kill", os.kill, pid, 9)
    attempt("kill its group", os.killpg, pid, 9)
    attempt_read(f"/proc/{pid}/status")
for prefix in ("", "/proc/1/root", "/proc/self/root", "/proc/self/cwd/../../../.."):
    attempt_read(f"{prefix}{path}")
attempt("remove", os.unlink, path)
report()
