"""Sends every signal to the supervisor by every way there is."""

import os
import signal

from attempt import attempt_call, call, refused, report

for number in signal.valid_signals():
    try:
        os.kill(1, number)
    except OSError:
        refused[f"kill {number}"] = "refused"
try:
    pidfd = call("pidfd_open", 1, 0)
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGINT):
        call("pidfd_send_signal", pidfd, number, 0, 0)
except OSError as error:
    refused["pidfd_send_signal"] = error.strerror
attempt_call("process_madvise", -1, 0, 0, 21, 0)
attempt_call("process_mrelease", -1, 0)
report()
