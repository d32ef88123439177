"""Keeps of an output stream what the configured size allows."""

from models.sandbox import CapturedStream


class StreamKeeper:
    """Head and tail of one output stream, within the configured size."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()

    def head(self, data: bytes) -> None:
        """Append to the head; what is over the limit is dropped."""
        self._head += data[: max(0, self._limit - len(self._head) - len(self._tail))]

    def tail(self, data: bytes) -> None:
        """Append to the tail; what is over the limit is dropped."""
        self._tail += data[: max(0, self._limit - len(self._head) - len(self._tail))]

    def captured(self, reported_total: int | None) -> CapturedStream:
        """Return what was kept; without a report the kept bytes are all that is known."""
        kept = len(self._head) + len(self._tail)
        total = max(kept, reported_total or 0)
        if total == kept:
            return CapturedStream(kept=bytes(self._head + self._tail), total_bytes=total)
        gap = f"\n[... {total - kept} bytes left out ...]\n".encode()
        return CapturedStream(
            kept=bytes(self._head + gap + self._tail), total_bytes=total, truncated=True
        )
