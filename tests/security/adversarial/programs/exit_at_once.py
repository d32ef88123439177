"""Ends at once, past all clean-up, and lets a child write a better end."""

import os
from pathlib import Path

Path("output/result.json").write_text("{}")
if os.fork() == 0:
    os.setsid()
    while True:
        Path("output/late").write_text("late")
        Path("output/late").unlink()
os._exit(0)
