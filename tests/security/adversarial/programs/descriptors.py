"""Opens descriptors without end, and keeps them until its end."""

import os
import struct

from attempt import attempt, call, report

RLIMIT_NOFILE = 7

kept = []
try:
    while True:
        kept.append(os.dup(0))
except OSError:
    print(len(kept) + 3)
os.close(kept.pop())
attempt("raise the limit", call, "prlimit64", 0, RLIMIT_NOFILE, struct.pack("2Q", 5000, 5000), 0)
report()
