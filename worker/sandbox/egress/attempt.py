"""One request from its first word to its end, which becomes one decision."""

import asyncio
import time
from types import TracebackType
from typing import Self

from worker.sandbox.egress import reasons
from worker.sandbox.egress.decisions import Decision, Ledger, shown
from worker.sandbox.egress.errors import (
    BadRequestError,
    ClientGoneError,
    FailedError,
    RefusedError,
)
from worker.sandbox.egress.limits import Usage


class Attempt:
    """Counts one request's bytes, and tells the ledger how it ended."""

    def __init__(self, ledger: Ledger, usage: Usage, protocol: str) -> None:
        self.protocol = protocol
        self.host = ""
        self.port: int | None = None
        self.address: str | None = None  # dialled
        self.answered = False  # an answer has begun: what goes wrong now can only end it
        self.clock: IdleClock | None = None
        self._ledger, self._usage = ledger, usage
        self._up = self._down = 0
        self._began, self._began_at = time.monotonic(), time.time()

    def asks(self, host: str, port: int | None) -> None:
        """Note what is asked for."""
        self.host, self.port = host, port

    def sends(self, count: int) -> None:
        """Count bytes that go out. Raises FailedError over the limit."""
        self._usage.take_up(count)
        self._up += count
        self._touch()

    def received(self, count: int) -> None:
        """Count bytes that came in. Raises FailedError over the limit."""
        self._usage.take_down(count)
        self._down += count
        self._touch()

    def _touch(self) -> None:
        if self.clock is not None:
            self.clock.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        reason, allowed = _judged(error)
        # What sent or got bytes was let through, whatever broke it off afterwards.
        allowed = allowed or self._up > 0 or self._down > 0
        if not self.host and reason in (reasons.CLIENT_GONE, reasons.GATE_CLOSED):
            return  # nothing was asked yet
        self._ledger.add(
            Decision(
                time=round(self._began_at, 3),
                protocol=self.protocol,
                host=shown(self.host),
                port=self.port,
                address=self.address,
                allowed=allowed,
                reason=reason,
                bytes_up=self._up,
                bytes_down=self._down,
                seconds=round(time.monotonic() - self._began, 3),
            )
        )


def _judged(error: BaseException | None) -> tuple[str, bool]:
    """Return the reason that an error means, and whether the request was allowed."""
    if isinstance(error, RefusedError):
        return error.reason, False
    if isinstance(error, FailedError):
        return error.reason, True
    if isinstance(error, asyncio.CancelledError):
        closed = reasons.GATE_CLOSED in error.args
        return (reasons.GATE_CLOSED if closed else reasons.CLIENT_GONE), True
    if isinstance(error, BadRequestError):
        return reasons.BAD_REQUEST, False
    if isinstance(error, ClientGoneError):
        return reasons.CLIENT_GONE, True
    return (reasons.INTERNAL if error else reasons.CLOSED), True


class IdleClock:
    """Moves the end of a timeout away while bytes flow."""

    def __init__(self, scope: asyncio.Timeout, seconds: float) -> None:
        self._scope, self._seconds = scope, seconds
        self._loop = asyncio.get_running_loop()
        self._touched = 0.0
        self.limit(seconds)

    def touch(self) -> None:
        """Begin the time anew."""
        # Not for each of thousands of pieces a second: a hundredth of the time is near enough.
        if self._loop.time() - self._touched > self._seconds / 100:
            self.limit(self._seconds)

    def limit(self, seconds: float) -> None:
        """Allow so many seconds without a byte from now on."""
        self._seconds, self._touched = seconds, self._loop.time()
        if not self._scope.expired():
            self._scope.reschedule(self._touched + seconds)
