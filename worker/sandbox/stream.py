"""Parses what a container writes: hostile bytes, so every size is checked before it is kept."""

import struct
from collections.abc import Iterator

from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest.protocol import GUEST_KINDS, HEADER, MAX_GUEST_FRAME

# The engine's attach stream: one byte of stream number, three of padding, four of length.
_ENGINE_HEADER = struct.Struct(">BxxxL")
_STDOUT = 1
MAX_DIAGNOSTICS = 4096  # bytes kept of the supervisor's own standard error


class Demultiplexer:
    """Splits the engine's attach stream; keeps a little of standard error for diagnosis."""

    def __init__(self) -> None:
        self.diagnostics = bytearray()
        self._header = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces of standard output in `data`."""
        view = memoryview(data)
        while view:
            if not self._left:
                view = self._take_header(view)
                continue
            piece, view = bytes(view[: self._left]), view[self._left :]
            self._left -= len(piece)
            if self._stream == _STDOUT:
                yield piece
            else:
                self.diagnostics += piece[: MAX_DIAGNOSTICS - len(self.diagnostics)]

    def _take_header(self, view: memoryview) -> memoryview:
        missing = _ENGINE_HEADER.size - len(self._header)
        self._header += view[:missing]
        if len(self._header) == _ENGINE_HEADER.size:
            self._stream, self._left = _ENGINE_HEADER.unpack(self._header)
            self._header.clear()
        return view[missing:]


class FrameParser:
    """Cuts the supervisor's bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield whole frames as (kind, payload). Raises ProtocolError on nonsense."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if kind not in GUEST_KINDS or length > MAX_GUEST_FRAME:
                raise ProtocolError(f"frame {kind!r} of {length} bytes")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, payload
