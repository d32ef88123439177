"""Looks names up by the system's resolver, which blocks, in threads that nobody waits for."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from models.hosts import Address
from worker.sandbox.egress import reasons
from worker.sandbox.egress.errors import FailedError

MAX_THREADS = 128  # of all gates; the resolver may hold one for half a minute
MAX_ADDRESSES = 16  # judged and tried, of one name

Lookup = Callable[[str], Sequence[Address]]


def system_lookup(host: str) -> Sequence[Address]:
    """Return the addresses of a name, in the order to try. Raises OSError."""
    # As bytes: a str would go through another codec for international names.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    # A link-local address may name its interface, which is never meant for a program's traffic.
    texts = [str(item[4][0]).partition("%")[0] for item in found]
    return [ip_address(text) for text in dict.fromkeys(texts)]


class Resolver:
    """Bounded lookups for all gates."""

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._threads = asyncio.Semaphore(MAX_THREADS)

    async def resolve(
        self, host: str, slots: asyncio.Semaphore, seconds: float
    ) -> Sequence[Address]:
        """Return the addresses of a canonical name. Raises FailedError.

        `slots` is the gate's own share. A lookup that takes too long keeps its slot until the
        system gives up: otherwise one gate could have them all.
        """
        try:
            async with asyncio.timeout(seconds):
                await slots.acquire()
                future = self._start(host, slots)
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise FailedError(reasons.RESOLVE_TIMEOUT) from error
        except (OSError, UnicodeError) as error:
            raise FailedError(reasons.UNRESOLVABLE) from error

    def _start(self, host: str, slots: asyncio.Semaphore) -> asyncio.Task[Sequence[Address]]:
        task = asyncio.create_task(self._in_thread(host))

        def finished(ended: asyncio.Task[Sequence[Address]]) -> None:
            slots.release()
            # Looked at, or asyncio complains about what nobody waits for any more.
            if not ended.cancelled():
                ended.exception()

        task.add_done_callback(finished)
        return task

    async def _in_thread(self, host: str) -> Sequence[Address]:
        async with self._threads:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[Sequence[Address]] = loop.create_future()
            # A daemon: the process ends without waiting for the resolver.
            threading.Thread(target=self._work, args=(host, loop, answer), daemon=True).start()
            return (await answer)[:MAX_ADDRESSES]

    def _work(
        self,
        host: str,
        loop: asyncio.AbstractEventLoop,
        answer: "asyncio.Future[Sequence[Address]]",
    ) -> None:
        try:
            found, fault = self._lookup(host), None
        except (OSError, ValueError) as error:
            found, fault = (), error

        def give() -> None:
            if not answer.done():
                answer.set_exception(fault) if fault else answer.set_result(found)

        # The loop may be gone by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(give)
