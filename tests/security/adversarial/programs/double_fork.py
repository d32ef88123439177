"""Leaves grandchildren of their own sessions behind, which hold the output open."""

import os
import signal
import time

for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            time.sleep(0.05)
            os.write(1, b".")
print("parent done")
