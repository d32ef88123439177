"""The attach connection to one sandbox: frames in both directions, with deadlines."""

import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from typing import Any

from docker import APIClient

from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest import protocol
from worker.sandbox.stream import Demultiplexer, FrameParser

READ_SIZE = 131_072  # bytes read from the engine at once
# Of an engine over TLS a part of a record may be there, which is as nothing.
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """One sandbox's stdin and stdout. Reads wake on data, a deadline or `wake`."""

    def __init__(self, api: APIClient, container_id: str) -> None:
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._response: Any = api.attach_socket(container_id, params=streams)
        self._socket: socket.socket = getattr(self._response, "_sock", self._response)
        self._socket.setblocking(False)
        self._demultiplexer = Demultiplexer()
        self._parser = FrameParser()
        self._frames: deque[tuple[bytes, bytes]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        self._lock = threading.Lock()
        self._closed = False
        self._at_end = False

    def wake(self) -> None:
        """Make a waiting `next_frame` return; safe from any thread."""
        # Under the lock: a closed descriptor's number may already be somebody else's.
        with self._lock:
            if not self._closed:
                os.write(self._wake_write, b"!")

    def has_news(self) -> bool:
        """Whether there is anything to be read, be it the end; no waiting sandbox says a word."""
        return bool(_wait({self._socket.fileno(): select.POLLIN}, 0))

    def next_frame(self, deadline: float) -> tuple[bytes, bytes] | None:
        """Return the next frame, or None at the end, at the deadline, or when woken.

        `deadline` is on the monotonic clock, in seconds. `ended` tells the end of the stream.
        """
        while not self._frames and not self._at_end:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            ready = _wait(
                {self._socket.fileno(): select.POLLIN, self._wake_read: select.POLLIN}, left
            )
            if self._socket.fileno() in ready:
                self._read()
            elif self._wake_read in ready:
                os.read(self._wake_read, 64)
                return None
        return self._frames.popleft() if self._frames else None

    def send(self, data: bytes, deadline: float) -> None:
        """Write bytes to the sandbox. Raises ProtocolError when it does not take them."""
        view = memoryview(data)
        while view:
            left = deadline - time.monotonic()
            if left <= 0 or not _wait({self._socket.fileno(): select.POLLOUT}, left):
                raise ProtocolError("the sandbox does not read its input")
            try:
                view = view[self._socket.send(view) :]
            except NOT_YET:
                continue
            except OSError as error:
                self._at_end = True
                raise ProtocolError("the sandbox closed its input") from error

    @property
    def ended(self) -> bool:
        """Whether the stream is at its end and every frame of it was taken."""
        return self._at_end and not self._frames

    @property
    def diagnostics(self) -> str:
        """What the supervisor itself said on standard error, for our logs."""
        return self._demultiplexer.diagnostics.decode(errors="replace")

    def close(self) -> None:
        """Close the connection; the supervisor takes that as the end."""
        with self._lock:
            self._closed = True
            for descriptor in (self._wake_read, self._wake_write):
                os.close(descriptor)
        self._response.close()
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except NOT_YET:
            return
        except OSError:
            data = b""
        if not data:
            self._at_end = True
        for piece in self._demultiplexer.feed(data):
            self._frames.extend(self._parser.feed(piece))


def _wait(events: dict[int, int], seconds: float) -> set[int]:
    """Return the descriptors that are ready. poll(), for select() ends at descriptor 1023."""
    poller = select.poll()
    for descriptor, mask in events.items():
        poller.register(descriptor, mask)
    return {descriptor for descriptor, _ in poller.poll(seconds * 1000)}


def kill_frame(why: str) -> bytes:
    """Return the frame that asks the supervisor to end the program."""
    return protocol.frame(protocol.KILL, why.encode())
