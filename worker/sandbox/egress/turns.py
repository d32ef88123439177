"""Turns for the connections of one gate, so that a gate with many has no more of the process."""

import asyncio
from collections import deque


class Turns:
    """Lets one connection go on in each round of the event loop, in the order of the calls.

    Other gates, and what else the process does, have their turns in between. One connection alone
    waits for a round, which is what makes two sockets that are always ready give way to others.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for the next turn."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        # Who was cancelled meanwhile has no use for a turn.
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if self._waiting:
            self._waiting.popleft().set_result(None)
        if self._waiting:
            self._loop.call_soon(self._next)
