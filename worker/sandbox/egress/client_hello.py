"""Reads the server name out of the first message of a TLS client (RFC 8446, 6066).

What is seen is the name that is sent in the clear. With Encrypted ClientHello that is the outer
name, and the inner one remains unknown; a server that takes both can also be told any name once
the connection is encrypted. Matching the name keeps a program to servers of allowed names; it does
not show what is said to them.
"""

from worker.sandbox.egress import reasons
from worker.sandbox.egress.errors import RefusedError

HANDSHAKE = 22  # content type of a record
CLIENT_HELLO = 1  # type of a handshake message
# Bytes, also the most that one record may carry (RFC 8446, section 5.1). With post-quantum keys and
# a session ticket a message has about 4,000.
MAX_HELLO = 16_384
MAX_RECORDS = 32  # clients send one or two; more would make a scan of each new byte expensive
SERVER_NAME = 0  # extension
HOST_NAME = 0  # type of a name


class _Malformed(Exception):
    """Lengths that do not fit; never leaves this module."""


class _Reader:
    """Takes values with lengths of their own off a piece of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise _Malformed
        self._at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> "_Reader":
        """Take bytes behind their length, which has `size` bytes."""
        return _Reader(self.take(self.number(size)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)


def server_name(data: bytes) -> str | None:
    """Return the name in a ClientHello, an empty one if it has none, or None: more is needed.

    Raises RefusedError for what is not a ClientHello.
    """
    try:
        hello = _message(data)
        return None if hello is None else _name(_Reader(hello))
    except _Malformed as error:
        raise RefusedError(reasons.NOT_TLS) from error


def _message(data: bytes) -> bytes | None:
    """Join the records' payloads until they hold one handshake message."""
    joined, at = bytearray(), 0
    for _ in range(MAX_RECORDS):
        header = data[at : at + 5]
        if header and (header[0] != HANDSHAKE or (len(header) > 1 and header[1] != 3)):
            raise _Malformed
        length = int.from_bytes(header[3:5], "big") if len(header) == 5 else None
        if length is not None and not 0 < length <= MAX_HELLO:
            raise _Malformed
        payload = data[at + 5 : at + 5 + (length or 0)]
        joined += payload
        size = _size(joined)
        if size is not None and len(joined) > size:
            raise _Malformed
        if size is not None and len(joined) == size:
            return bytes(joined[4:])
        if length is None or len(payload) < length:
            return None
        at += 5 + length
    raise _Malformed


def _size(joined: bytearray) -> int | None:
    """Return the message's length with its header, once it is known."""
    if joined and joined[0] != CLIENT_HELLO:
        raise _Malformed
    if len(joined) < 4:
        return None
    size = 4 + int.from_bytes(joined[1:4], "big")
    if size > MAX_HELLO:
        raise _Malformed
    return size


def _name(hello: _Reader) -> str:
    hello.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session, cipher suites, compression
        hello.vector(size)
    extensions = hello.vector(2) if hello else _Reader(b"")
    names = []
    while extensions:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == SERVER_NAME:
            names.append(_only_name(content))
    # Which of two a server takes is up to the server.
    if hello or len(names) > 1:
        raise _Malformed
    return names[0] if names else ""


def _only_name(content: _Reader) -> str:
    entries = content.vector(2)
    kind, name = entries.number(1), entries.vector(2)
    text = name.rest()
    if content or entries or kind != HOST_NAME or not text or not text.isascii():
        raise _Malformed
    return text.decode("ascii")
