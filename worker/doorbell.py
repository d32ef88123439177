"""Rings the doorbell from a thread of its own: no request waits for a broker.

What cannot be sent is dropped here: the row is in the database, and the sweep sends it later.
"""

import queue
import threading
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

import structlog

from worker.app import send_cancel, send_execute

log = structlog.get_logger()

MAX_WAITING = 10_000  # messages that wait for the broker in this process


class _Doorbell:
    """A queue and the thread that empties it."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], object]] = queue.Queue(MAX_WAITING)
        threading.Thread(target=self._send_for_ever, name="doorbell", daemon=True).start()

    def put(self, send: Callable[[], object]) -> None:
        try:
            self._waiting.put_nowait(send)
        except queue.Full:
            log.warning("doorbell_full")

    def _send_for_ever(self) -> None:
        while True:
            send = self._waiting.get()
            try:
                send()
            except Exception:
                # One failed message must not silence the doorbell for all that come after it.
                log.exception("doorbell_failed")


@lru_cache(maxsize=1)
def _doorbell() -> _Doorbell:
    return _Doorbell()


def ring(execution_id: UUID, priority: int) -> None:
    """Tell the workers that there is something to claim. Returns at once."""
    _doorbell().put(lambda: send_execute(execution_id, priority))


def ring_cancel(execution_id: UUID) -> None:
    """Tell the workers that something is to be ended. Returns at once."""
    _doorbell().put(lambda: send_cancel(execution_id))
