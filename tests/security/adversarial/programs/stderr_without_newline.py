"""Writes 1 GB without one line end."""

import os

block = b"x" * 65536
for _ in range(2**30 // len(block)):
    os.write(2, block)
