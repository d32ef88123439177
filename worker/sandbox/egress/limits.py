"""How much one sandbox may ask of the proxy, and what it has used of that."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from worker.sandbox.egress import reasons
from worker.sandbox.egress.errors import FailedError, RefusedError

MOST = 1 << 60  # a larger number in a limit is a mistake
# Accepted clients beyond max_connections: idle ones, those sending a head, those being refused.
WAITING_CLIENTS = 32


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one gate. Raises ValueError for a number out of range."""

    max_requests: int | None = 100  # connections and plain HTTP requests; None: no limit
    max_connections: int = 32  # to the outside, at once
    max_bytes_up: int = 268_435_456
    max_bytes_down: int = 1_073_741_824
    max_header_bytes: int = 32_768  # of one head, the request line included
    header_seconds: float = 10.0  # for a whole head, or a TLS ClientHello
    resolve_seconds: float = 10.0
    connect_seconds: float = 10.0  # over all addresses of a host
    idle_seconds: float = 120.0  # without a byte in either direction
    half_closed_seconds: float = 30.0  # the same, once one side has ended
    max_lookups: int = 4  # at the same time
    accept_rate: float = 50.0  # connections and requests a second, and
    accept_burst: int = 64  # how many may come at once

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "max_requests":
                continue
            least = 0 if field.name in ("max_requests", "max_bytes_up", "max_bytes_down") else 0.01
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{field.name} must be a number")
            if not least <= value <= MOST:
                raise ValueError(f"{field.name} must be from {least} to {MOST}")

    def as_json(self) -> dict[str, Any]:
        """Return the limits as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return the limits that `as_json` wrote. Raises ValueError or TypeError."""
        return cls(**value)


class Usage:
    """What one gate has used. Each method refuses what would go over a limit."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = self.bytes_up = self.bytes_down = self.open = 0

    def take_request(self) -> None:
        """Count one connection or plain HTTP request. Raises RefusedError."""
        most = self.limits.max_requests
        if most is not None and self.requests >= most:
            raise RefusedError(reasons.QUOTA_EXCEEDED)
        self.requests += 1

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Hold one connection to the outside. Raises RefusedError."""
        limits = self.limits
        if self.bytes_up >= limits.max_bytes_up or self.bytes_down >= limits.max_bytes_down:
            raise RefusedError(reasons.BYTE_LIMIT)
        if self.open >= limits.max_connections:
            raise RefusedError(reasons.TOO_MANY_CONNECTIONS)
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def take_up(self, count: int) -> None:
        """Count bytes about to be sent out. Raises FailedError."""
        self.bytes_up = min(self.bytes_up + count, self.limits.max_bytes_up + 1)
        if self.bytes_up > self.limits.max_bytes_up:
            self.bytes_up = self.limits.max_bytes_up
            raise FailedError(reasons.BYTE_LIMIT)

    def take_down(self, count: int) -> None:
        """Count bytes that came in and are about to be passed on. Raises FailedError."""
        self.bytes_down = min(self.bytes_down + count, self.limits.max_bytes_down + 1)
        if self.bytes_down > self.limits.max_bytes_down:
            self.bytes_down = self.limits.max_bytes_down
            raise FailedError(reasons.BYTE_LIMIT)


class Bucket:
    """A token bucket: `take` waits for its turn, in the order of the calls."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._tokens, self._filled = float(burst), asyncio.get_running_loop().time()

    async def take(self) -> None:
        """Wait until one more is within the rate."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate) - 1
        self._filled = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)
