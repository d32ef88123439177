"""Traces its own child, and asks to be traced."""

import os
import signal

from attempt import attempt_call, report, sleeping_child

child = sleeping_child()
attempt_call("ptrace", 16, child, 0, 0, label="attach")
attempt_call("ptrace", 0x4206, child, 0, 0, label="seize")
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
# Last: where it gets through, every signal from now on stops this process.
attempt_call("ptrace", 0, 0, 0, 0, label="be traced")
report()
