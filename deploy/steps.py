"""Numbered progress lines with plain prints, for code that runs before rich is installed."""

from __future__ import annotations

import time
from collections.abc import Callable

Beat = Callable[[], None]


class PlainSteps:
    """Prints `[2/4] Packages ..... 23 s`, one dot a heartbeat."""

    def __init__(self, *, total: int) -> None:
        """Take the number of steps to come."""
        self._total = total
        self._done = 0

    def run(self, title: str, work: Callable[[Beat], None] | None) -> None:
        """Do `work` (given a heartbeat to call) under `title`; None means: nothing to do."""
        self._done += 1
        print(f"[{self._done}/{self._total}] {title} ...", end="", flush=True)
        if work is None:
            print(" unchanged", flush=True)
            return
        started = time.monotonic()
        work(lambda: print(".", end="", flush=True))
        print(f" {time.monotonic() - started:.0f} s", flush=True)
