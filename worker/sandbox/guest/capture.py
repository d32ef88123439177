"""Caps an output stream while it is read: the head goes out at once, the tail is kept."""

from __future__ import annotations

from . import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Sink(Protocol):
        """Where a stream goes: the channel, as a rule."""

        def send_bytes(self, kind: bytes, data: bytes | bytearray) -> None:
            """Take bytes of any length."""


OUT = protocol.STDOUT, protocol.STDOUT_TAIL
ERR = protocol.STDERR, protocol.STDERR_TAIL


class Capture:
    """One stream: at most `limit` bytes leave the sandbox, half head and half tail."""

    def __init__(self, channel: Sink, head_kind: bytes, tail_kind: bytes, limit: int) -> None:
        self.total = 0
        self._channel = channel
        self._kinds = head_kind, tail_kind
        self._head_left = limit - limit // 2
        self._tail_limit = limit // 2
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        head, rest = data[: self._head_left], data[self._head_left :]
        if head:
            self._head_left -= len(head)
            self._channel.send_bytes(self._kinds[0], head)
        if rest:
            self._tail += rest
            # Let it grow to twice the limit before cutting, so that cutting stays cheap.
            if len(self._tail) > 2 * self._tail_limit:
                del self._tail[: -self._tail_limit or None]

    def finish(self) -> None:
        """Send the kept tail."""
        if self._tail_limit:
            self._channel.send_bytes(self._kinds[1], self._tail[-self._tail_limit :])
        self._tail.clear()


class Kept:
    """Both streams of one run of a batch, in memory until it has ended."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` bytes of each."""
        self._parts = {kind: bytearray() for kind in (*OUT, *ERR)}
        self.out = Capture(self, *OUT, limit)
        self.err = Capture(self, *ERR, limit)

    def send_bytes(self, kind: bytes, data: bytes | bytearray) -> None:
        """Keep what would be sent."""
        self._parts[kind] += data

    @property
    def total(self) -> int:
        """Bytes that the run wrote."""
        return self.out.total + self.err.total

    def finish(self) -> list[bytearray]:
        """Return head and tail of standard output, then of standard error."""
        self.out.finish()
        self.err.finish()
        return list(self._parts.values())
