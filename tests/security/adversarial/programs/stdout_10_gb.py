"""Writes 10 GB."""

import os

block = b"line of output\n" * 4096
for _ in range(10 * 2**30 // len(block)):
    os.write(1, block)
