"""Reads and writes the bodies of HTTP/1 messages, piece by piece."""

import re
from collections.abc import AsyncIterator

from worker.sandbox.egress import http_head
from worker.sandbox.egress.errors import BadRequestError
from worker.sandbox.egress.stream import READ_SIZE, Stream

MAX_CHUNK_LINE = 256  # bytes of a chunk's size with its extensions
MAX_TRAILERS = 8_192  # bytes; they are read and dropped
LAST_CHUNK = b"0\r\n\r\n"
# Joined into one piece at once: some microseconds' work each, for which other gates wait.
MAX_JOINED = 64

# No sign, no prefix, no space: int() would take them all. Extensions are dropped.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
# The same for a chunk that is there as a whole; what is odd in any way is left to the other.
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")


async def read_head(stream: Stream, most: int) -> bytes:
    """Return the next head without its empty line. Raises BadRequestError."""
    seen = 0
    while (end := http_head.find_end(stream.buffer, seen)) < 0:
        seen = len(stream.buffer)
        if seen > most:
            raise BadRequestError("the head is too long")
        if not await stream.fill():
            raise BadRequestError("ends within the head")
    if end > most:
        raise BadRequestError("the head is too long")
    head = bytes(stream.buffer[:end])
    del stream.buffer[: end + len(http_head.END_OF_HEAD)]
    return head


async def pieces(stream: Stream, length: int | None) -> AsyncIterator[bytes]:
    """Yield the pieces of a body of so many bytes, or of a chunked one. Raises BadRequestError."""
    if length is not None:
        async for piece in _counted(stream, length):
            yield piece
        return
    while True:
        if small := _whole_chunks(stream.buffer):
            yield small
            continue
        if not (size := await _chunk_size(stream)):
            break
        async for piece in _counted(stream, size):
            yield piece
        if await stream.read_exactly(2) != b"\r\n":
            raise BadRequestError("a chunk is longer than it says")
    await _skip_trailers(stream)


def _whole_chunks(buffer: bytearray) -> bytes:
    """Take chunks that are there as a whole, and return what is in them.

    Chunks of one byte, each passed on by itself, would be work without end.
    """
    joined, at = bytearray(), 0
    for _ in range(MAX_JOINED):
        match = _PLAIN_SIZE.match(buffer, at)
        if match is None:
            break
        size, begin = int(match[1], 16), match.end()
        end = begin + size
        if not 0 < size <= READ_SIZE - len(joined) or buffer[end : end + 2] != b"\r\n":
            break
        joined += buffer[begin:end]
        at = end + 2
    del buffer[:at]
    return bytes(joined)


async def rest(stream: Stream) -> AsyncIterator[bytes]:
    """Yield whatever comes until the end."""
    while piece := await stream.read():
        yield piece


def chunk(piece: bytes) -> bytes:
    """Return a piece as one chunk."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


async def _counted(stream: Stream, left: int) -> AsyncIterator[bytes]:
    while left:
        piece = await stream.read(min(left, READ_SIZE))
        if not piece:
            raise BadRequestError("ends within the body")
        left -= len(piece)
        yield piece


async def _chunk_size(stream: Stream) -> int:
    match = _SIZE.fullmatch(await _line(stream, MAX_CHUNK_LINE))
    if match is None:
        raise BadRequestError("a chunk has no proper size")
    return int(match[1], 16)


async def _skip_trailers(stream: Stream) -> None:
    left, lines = MAX_TRAILERS, []
    while line := await _line(stream, left):
        left -= len(line) + 2
        lines.append(line.decode("latin-1"))
    http_head.parse_fields(lines)


async def _line(stream: Stream, most: int) -> bytes:
    while (end := stream.buffer.find(b"\n")) < 0:
        if len(stream.buffer) > most:
            raise BadRequestError("a line is too long")
        if not await stream.fill():
            raise BadRequestError("ends within the body")
    line = await stream.read_exactly(end + 1)
    if len(line) > max(most, 0) + 2 or not line.endswith(b"\r\n"):
        raise BadRequestError("a line is too long, or ends without a carriage return")
    return line[:-2]
