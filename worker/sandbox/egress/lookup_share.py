"""One gate's share of the threads that look names up."""

import asyncio
from collections.abc import Callable


class LookupShare:
    """Lets as many lookups run at once as `room` says; it may say less when gates are added."""

    def __init__(self, room: Callable[[], int], on_close: Callable[[], None]) -> None:
        self._room, self._on_close = room, on_close
        self._busy, self._closed = 0, False
        self._freed = asyncio.Event()

    async def take(self) -> None:
        """Wait until one more may run."""
        # Whoever waits has a lookup of its own gate before it, whose end looks for room again.
        while self._busy >= self._room():
            self._freed.clear()
            await self._freed.wait()
        self._busy += 1

    def give_back(self) -> None:
        """Take note that a lookup has ended."""
        self._busy -= 1
        self._freed.set()

    def close(self) -> None:
        """Leave room to other gates; lookups that still run go on until they end."""
        if not self._closed:
            self._closed = True
            self._on_close()
