"""An answer that strangers may ask for, made by one thread at a time and kept for a moment."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """Remembers what `make` returned for `seconds`; an older answer is given while one is made."""

    def __init__(self, make: Callable[[], T], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._lock = threading.Lock()
        self._made_at = float("-inf")
        self._last: tuple[T] | None = None

    def get(self) -> T:
        """Return the answer. Raises what `make` raises."""
        stale = time.monotonic() - self._made_at > self._seconds
        # Nobody queues for it but at the very start, when there is nothing to tell.
        if stale and self._lock.acquire(blocking=self._last is None):
            try:
                if time.monotonic() - self._made_at > self._seconds:
                    self._last = (self._make(),)
                    self._made_at = time.monotonic()
            finally:
                self._lock.release()
        assert self._last is not None  # noqa: S101 - set above, or by the thread that was faster
        return self._last[0]
