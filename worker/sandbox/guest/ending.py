"""The last word on a job: artifacts, and the report of what was used."""

from __future__ import annotations

import time

from . import artifacts, isolation, protocol
from .channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .runnable import Runnable


class Meter:
    """Measures a job from now on."""

    def __init__(self) -> None:
        self._started, self._cpu = time.monotonic(), isolation.cpu_seconds()
        self._wall = 0.0

    def stop(self) -> None:
        """Take the time: what follows is not the program's."""
        self._wall = time.monotonic() - self._started

    def used(self) -> dict[str, Any]:
        """Return time and memory as the report has them."""
        oom_kills, peak = isolation.memory_events()
        cpu = isolation.cpu_seconds()
        known = cpu is not None and self._cpu is not None
        return {
            "oom_kills": oom_kills,
            "peak_memory_bytes": peak,
            "wall_seconds": self._wall,
            "cpu_seconds": cpu - self._cpu if known else None,  # type: ignore[operator]
        }


def end(channel: Channel, job: dict[str, Any], meter: Meter, report: dict[str, Any]) -> None:
    """Send the artifacts and the report, which is the last frame."""
    left_out = artifacts.collect(channel, job["artifacts"])
    channel.send_json(protocol.EXIT, report | meter.used() | left_out)


def how_it_ended(program: Runnable, code: int) -> dict[str, int | str | None]:
    """Return how a program ended, given its exit code, or the number of its signal below zero."""
    return {
        "exit_code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "setup_error": program.setup_error(),
        "exec_error": program.exec_error,
        "policy_violation": program.policy_violation(),
    }
