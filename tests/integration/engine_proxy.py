"""Stands between a worker and the container engine, and can hang or break as an engine can."""

import contextlib
import json
import socket
import threading
from pathlib import Path

ENGINE = "/var/run/docker.sock"
PIECE = 65_536  # bytes moved at once
KEPT = 1_048_576  # bytes of what the engine said last


class EngineProxy:
    """A Unix socket to the engine; `stall`, `cut`, `refuse` and `fail_once` are its faults."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self._flows = threading.Event()
        self._flows.set()
        self._refuses = False
        self._stall_at: bytes | None = None
        self._fail_at: tuple[bytes, bytes] | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._said = bytearray()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def passed(self, text: str) -> bool:
        """Whether the engine said `text` lately and it was handed to the worker."""
        return text.encode() in self._said

    def stall(self) -> None:
        """Take every byte and pass none on, in either direction, until `resume`."""
        self._flows.clear()

    def stall_at(self, words: str) -> None:
        """Stall as soon as the worker calls what has these words in its first line."""
        self._stall_at = words.encode()

    def fail_once(self, words: str, status: int, message: str) -> None:
        """Answer the next call with these words in its first line by an error, and drop it."""
        body = json.dumps({"message": message}).encode()
        head = f"HTTP/1.1 {status} Error\r\nContent-Type: application/json\r\n"
        reply = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self._fail_at = (words.encode(), reply)

    def is_stalled(self) -> bool:
        """Whether nothing passes now."""
        return not self._flows.is_set()

    def refuse(self) -> None:
        """Break all connections and every new one at once, until `resume`."""
        self._refuses = True
        self.cut()

    def resume(self) -> None:
        """Work again; what was held arrives late."""
        self._refuses = False
        self._flows.set()

    def cut(self) -> None:
        """Break all connections that are open now."""
        with self._lock:
            for item in self._open:
                with contextlib.suppress(OSError):
                    item.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop for good."""
        self.resume()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(ENGINE)
            with self._lock:
                self._open |= {client, engine}
            left = threading.Semaphore(0)
            for work in (
                (self._pump, client, engine, left, False),
                (self._pump, engine, client, left, True),
                (self._forget, client, engine, left),
            ):
                threading.Thread(target=work[0], args=work[1:], daemon=True).start()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        left: threading.Semaphore,
        target_is_worker: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                call = b"" if target_is_worker else data.split(b"\r\n")[0]
                if self._stall_at is not None and self._stall_at in call:
                    self._stall_at = None
                    self.stall()
                if self._fail_at is not None and self._fail_at[0] in call:
                    reply, self._fail_at = self._fail_at[1], None
                    source.sendall(reply)
                    continue
                self._flows.wait()
                target.sendall(data)
                if target_is_worker:
                    with self._lock:
                        self._said = (self._said + data)[-KEPT:]
        self._flows.wait()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        left.release()

    def _forget(
        self, client: socket.socket, engine: socket.socket, left: threading.Semaphore
    ) -> None:
        for _ in range(2):
            left.acquire()
        with self._lock:
            self._open -= {client, engine}
        client.close()
        engine.close()
