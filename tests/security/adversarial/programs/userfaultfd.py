"""Handles page faults itself, which widens races in the kernel."""

from attempt import attempt_call, report

attempt_call("userfaultfd", 0)
attempt_call("userfaultfd", 1, label="user mode only")
attempt_call("userfaultfd", -1, label="nothing")
report()
