"""The way of a program to the egress proxy, where its job has one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def open_way(job: dict[str, Any]) -> None:
    """Start what carries connections. Whoever ends all processes ends it, too.

    Raises OSError when it cannot be started.
    """
    if job.get("egress"):
        from . import forwarder  # with more in memory than all the rest of process 1

        forwarder.start()
