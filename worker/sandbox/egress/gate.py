"""One gate inside the proxy: a listening socket, and what is shared by all that comes in by it."""

import asyncio
import functools
import logging
import socket
from typing import Any

from worker.sandbox.egress import connection, reasons
from worker.sandbox.egress.decisions import Ledger, Report
from worker.sandbox.egress.hangup import HangupWatch
from worker.sandbox.egress.limits import WAITING_CLIENTS, Bucket, Limits, Usage
from worker.sandbox.egress.policy import Policy
from worker.sandbox.egress.resolver import Resolver
from worker.sandbox.egress.session import GateState
from worker.sandbox.egress.turns import Turns
from worker.sandbox.egress.upstream import Outside

PAUSE_SECONDS = 0.2  # when the process has no descriptor left to accept with

log = logging.getLogger(__name__)


class ServedGate:
    """Accepts clients at the gate's own pace: a crowd at one gate waits in its own queue."""

    def __init__(
        self,
        listener: socket.socket,
        policy: Policy,
        limits: Limits,
        *,
        resolver: Resolver,
        hangups: HangupWatch,
        earlier: Report | None = None,
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._usage, self._ledger = Usage(limits), Ledger()
        if earlier is not None:
            self._continue(earlier)
        turns = Turns()
        self._outside = Outside(policy, limits, self._usage, resolver, turns)
        self._state = GateState(
            limits=limits,
            usage=self._usage,
            ledger=self._ledger,
            bucket=Bucket(limits.accept_rate, limits.accept_burst),
            outside=self._outside,
            hangups=hangups,
            turns=turns,
        )
        self._places = asyncio.Semaphore(limits.max_connections + WAITING_CLIENTS)
        self._clients: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())
        self._accepting.add_done_callback(_tell_end)

    def _continue(self, earlier: Report) -> None:
        """Go on counting where a proxy that died has stopped."""
        self._usage.requests = earlier.requests
        self._usage.bytes_up, self._usage.bytes_down = earlier.bytes_up, earlier.bytes_down
        self._ledger.denied = earlier.denied
        self._ledger.outcomes.update(earlier.outcomes)

    def totals(self) -> dict[str, Any]:
        """Return what was used so far."""
        usage = self._usage
        return {
            "requests": usage.requests,
            "bytes_up": usage.bytes_up,
            "bytes_down": usage.bytes_down,
            "denied": self._ledger.denied,
            "outcomes": dict(self._ledger.outcomes),
        }

    def report(self) -> Report:
        """Return the totals, and the decisions since the last report."""
        return Report(**self.totals() | self._ledger.take())

    async def close(self) -> Report:
        """Stop accepting, end all connections, and return the last report."""
        self._accepting.cancel()
        for task in self._clients:
            task.cancel(reasons.GATE_CLOSED)
        await asyncio.gather(self._accepting, *self._clients, return_exceptions=True)
        self._listener.close()
        self._outside.close()
        return self.report()

    async def _accept(self) -> None:
        while True:
            await self._places.acquire()
            await self._state.bucket.take()
            try:
                await self._knock()
                sock, _ = self._listener.accept()
            except OSError as error:
                self._places.release()
                if not isinstance(error, BlockingIOError | ConnectionError):
                    log.warning("cannot accept: %s", error.strerror)
                    await asyncio.sleep(PAUSE_SECONDS)
                continue
            task = asyncio.create_task(connection.serve(sock, self._state))
            self._clients.add(task)
            task.add_done_callback(functools.partial(self._ended, sock))

    async def _knock(self) -> None:
        """Wait until somebody wants in.

        The loop's own `sock_accept` would do, but for what it has accepted when it is cancelled.
        """
        loop = asyncio.get_running_loop()
        knocked = asyncio.Event()
        loop.add_reader(self._listener, knocked.set)
        try:
            await knocked.wait()
        finally:
            loop.remove_reader(self._listener)

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        sock.close()  # of a task that was cancelled before it began, too
        self._clients.discard(task)
        self._places.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection failed by a fault of ours", exc_info=error)


def _tell_end(accepting: asyncio.Task[None]) -> None:
    if not accepting.cancelled() and (error := accepting.exception()) is not None:
        log.error("a gate takes nobody in any more", exc_info=error)
