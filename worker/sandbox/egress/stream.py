"""A socket with what was read ahead of need. Nothing here waits with a deadline: callers do."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from worker.sandbox.egress.errors import BadRequestError, EgressError
from worker.sandbox.egress.turns import Turns

READ_SIZE = 65_536  # bytes asked of the kernel at once


class Stream:
    """One non-blocking socket; whatever breaks it is raised as a new `lost()`.

    `turns` are shared by those of whom only one at a time may work.
    """

    def __init__(
        self, sock: socket.socket, lost: Callable[[], EgressError], turns: Turns | None = None
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.buffer = bytearray()
        self._lost = lost
        self._turns = turns or Turns()
        self._loop = asyncio.get_running_loop()

    async def receive(self, most: int = READ_SIZE) -> bytes:
        """Return the next bytes past the buffer; nothing at the end."""
        try:
            return await self._loop.sock_recv(self.sock, most)
        except OSError as error:
            raise self._lost() from error

    async def fill(self) -> bool:
        """Read more into the buffer; false at the end."""
        data = await self.receive()
        self.buffer += data
        return bool(data)

    async def read(self, most: int = READ_SIZE) -> bytes:
        """Return what is buffered, or the next bytes; nothing at the end."""
        if not self.buffer:
            return await self.receive(most)
        with memoryview(self.buffer) as view:
            data = bytes(view[:most])
        del self.buffer[:most]
        return data

    async def read_exactly(self, count: int) -> bytes:
        """Return so many bytes. Raises BadRequestError when the end comes first."""
        while len(self.buffer) < count:
            if not await self.fill():
                raise BadRequestError("ends too early")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    async def send(self, data: bytes) -> None:
        """Write all of `data` in a turn of its own; waits while the other side does not read."""
        # Between two sockets that are always ready nothing else would ever go on.
        await self._turns.take()
        try:
            await self._loop.sock_sendall(self.sock, data)
        except OSError as error:
            raise self._lost() from error

    def end(self) -> None:
        """Tell the other side that no more will come."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self.sock.close()


async def end(*tasks: asyncio.Task[None] | asyncio.Task[bool]) -> None:
    """Cancel tasks and wait for their end; what they raise is taken note of and dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
