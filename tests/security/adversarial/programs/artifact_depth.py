"""Nests folders until nothing more fits, with a file in the last."""

import os

depth = 0
os.chdir("output")
try:
    while depth < 5000:
        os.mkdir("d")
        os.chdir("d")
        depth += 1
except OSError:
    pass
print(depth > 100)
