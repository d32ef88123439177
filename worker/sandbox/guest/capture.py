"""Caps an output stream while it is read: the head goes out at once, the tail is kept."""

from .channel import Channel


class Capture:
    """One stream: at most `limit` bytes leave the sandbox, half head and half tail."""

    def __init__(self, channel: Channel, head_kind: bytes, tail_kind: bytes, limit: int) -> None:
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
