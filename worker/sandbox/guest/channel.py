"""The supervisor's side of the frames: blocking writes, reads until a frame is whole."""

from __future__ import annotations

import os

from . import lean, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ChannelClosedError(Exception):
    """The worker has gone; nobody will read what this sandbox says."""


class Channel:
    """Frames over two file descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self._write_fd = write_fd

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Write one frame whole; payloads over the frame's cap are split by `send_bytes`."""
        data = memoryview(protocol.frame(kind, payload))
        while data:
            try:
                data = data[os.write(self._write_fd, data) :]
            except BrokenPipeError as error:
                raise ChannelClosedError from error

    def send_json(self, kind: bytes, value: dict[str, Any]) -> None:
        """Write one frame holding a JSON object."""
        self.send(kind, lean.dumps(value))

    def send_bytes(self, kind: bytes, data: bytes | bytearray) -> None:
        """Write bytes of any length as frames under the cap."""
        for start in range(0, len(data), protocol.MAX_GUEST_FRAME):
            self.send(kind, bytes(data[start : start + protocol.MAX_GUEST_FRAME]))

    def receive(self) -> tuple[bytes, bytes]:
        """Read one frame. Raises ChannelClosedError at the end of input."""
        kind, length = protocol.HEADER.unpack(self._exactly(protocol.HEADER.size))
        if length > protocol.MAX_HOST_FRAME:
            raise ChannelClosedError
        return kind, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = os.read(self.read_fd, size - len(data))
            if not chunk:
                raise ChannelClosedError
            data += chunk
        return bytes(data)
