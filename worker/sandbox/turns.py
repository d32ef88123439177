"""Lets a few do something at once, in the order in which they came."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from worker.sandbox.errors import SandboxCancelledError

LOOK = 0.5  # seconds between two looks whether whoever waits for a turn was cancelled


class Turns:
    """A queue of which the first `most` have their turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, cancelled: threading.Event) -> Iterator[None]:
        """Wait for a turn and have it. Raises SandboxCancelledError if that comes first."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
        try:
            with self._changed:
                while self._queue.index(ticket) >= self._most:
                    if cancelled.is_set():
                        raise SandboxCancelledError
                    self._changed.wait(LOOK)
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()
