"""Spreads the memory over children, each smaller than the supervisor and lowest in the kernel's
list of what to end first."""

import os
import time
from pathlib import Path

for _ in range(10):
    if os.fork() == 0:
        try:
            Path("/proc/self/oom_score_adj").write_text("500")
        except OSError:
            pass
        kept = []
        while True:
            kept.append(bytearray(2**18))
            time.sleep(0.005)
while True:
    kept = [bytearray(2**20) for _ in range(8)]
