"""Kills every process that it can see, and each thread, by number."""

import os

try:
    os.kill(-1, 9)
except OSError:
    pass
for pid in range(1, 400):
    if pid != os.getpid():
        try:
            os.kill(pid, 9)
        except OSError:
            pass
print("alive")
