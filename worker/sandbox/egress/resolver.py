"""Looks names up by the system's resolver, which blocks, in threads that nobody waits for."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from models.hosts import Address
from worker.sandbox.egress import reasons
from worker.sandbox.egress.errors import FailedError
from worker.sandbox.egress.lookup_share import LookupShare

MAX_THREADS = 128  # of all gates; the resolver may hold one for as long as RES_OPTIONS says
MAX_ADDRESSES = 16  # judged and tried, of one name
# Seconds for one answer, and rounds of questions: by itself the system takes 5 and 2 for each
# name server (resolv.conf(5)), and a silent one would hold a thread for half a minute.
RES_OPTIONS = "timeout:2 attempts:2"

Lookup = Callable[[str], Sequence[Address]]

log = logging.getLogger(__name__)


def prepare_system_lookup() -> None:
    """Let the system look names up as they are; to be called before the first look-up.

    The search list of resolv.conf would make another name of the one that was judged. A final dot
    would prevent it, too, but names in /etc/hosts have none.
    """
    os.environ["LOCALDOMAIN"] = "."  # the search list: the root alone (resolv.conf(5))
    os.environ.setdefault("RES_OPTIONS", RES_OPTIONS)


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
        self._gates = 0
        self._told = False

    def share(self, most: int) -> LookupShare:
        """Return a new gate's share of the threads, to be closed with the gate."""
        self._gates += 1

        def room() -> int:
            return min(most, max(1, MAX_THREADS // max(1, self._gates)))

        return LookupShare(room, self._leave)

    def _leave(self) -> None:
        self._gates -= 1

    async def resolve(self, host: str, share: LookupShare, seconds: float) -> Sequence[Address]:
        """Return the addresses of a canonical name. Raises FailedError.

        A lookup that takes too long keeps its place in `share` until the system gives up:
        otherwise one gate could have all threads.
        """
        try:
            async with asyncio.timeout(seconds):
                await share.take()
                future = self._start(host, share)
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise FailedError(reasons.RESOLVE_TIMEOUT) from error
        except (OSError, UnicodeError) as error:
            raise FailedError(reasons.UNRESOLVABLE) from error

    def _start(self, host: str, share: LookupShare) -> asyncio.Task[Sequence[Address]]:
        task = asyncio.create_task(self._in_thread(host))

        def finished(ended: asyncio.Task[Sequence[Address]]) -> None:
            share.give_back()
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
            thread = threading.Thread(target=self._work, args=(host, loop, answer), daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system allows no more of them
                self._tell(error)
                raise OSError(errno.EAGAIN, str(error)) from error
            return (await answer)[:MAX_ADDRESSES]

    def _tell(self, error: RuntimeError) -> None:
        # Once: programs decide how often names are looked up.
        if not self._told:
            log.error("names cannot be looked up: %s (is the limit of processes too low?)", error)
        self._told = True

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
