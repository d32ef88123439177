"""The egress proxy beside a direct connection: time of a small request, and of a large answer."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.benchmarks.rows import Row, measured, side_by_side
from worker.sandbox.egress.client import EgressProxy
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.policy import Policy

SMALL, LARGE = 100, 64 * 1_048_576  # bytes of an answer
SMALL_ROUNDS, LARGE_ROUNDS = 300, 9
PIECE = bytes(1_048_576)


def rows() -> list[Row]:
    """Measure, in about ten seconds."""
    with ExitStack() as ends:
        port = ends.enter_context(_server())
        gate = ends.enter_context(_gate(port))
        ways: dict[str, Callable[[], socket.socket]] = {
            "direct": partial(socket.create_connection, ("127.0.0.1", port)),
            "through the egress proxy": partial(_unix, gate),
        }
        found = []
        for what, size, rounds in (
            ("small answer", SMALL, SMALL_ROUNDS),
            ("64 MiB answer", LARGE, LARGE_ROUNDS),
        ):
            subjects = {
                f"{what}, {way}": partial(_fetch, connect, port, size)
                for way, connect in ways.items()
            }
            base = f"{what}, direct"
            found += measured("ms", side_by_side(subjects, rounds), base)
        return found


def _fetch(connect: Callable[[], socket.socket], port: int, size: int) -> float:
    """Return the milliseconds from connecting to the last byte."""
    begun = time.perf_counter()
    with connect() as sock:
        address = f"127.0.0.1:{port}"
        sock.sendall(f"GET http://{address}/{size} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        left = size
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65_536)
        left -= len(head.partition(b"\r\n\r\n")[2])
        buffer = bytearray(262_144)
        while left:
            read = sock.recv_into(buffer)
            assert read, f"{left} bytes are missing"
            left -= read
    return (time.perf_counter() - begun) * 1000


def _unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


@contextmanager
def _gate(port: int) -> Iterator[Path]:
    address = f"127.0.0.1:{port}"
    limits = Limits(
        max_requests=None, max_bytes_down=2**40, accept_rate=1e6, accept_burst=1_000_000
    )
    with tempfile.TemporaryDirectory() as directory:
        proxy = EgressProxy(Path(directory) / "egress")
        try:
            gate = proxy.open(Policy.parsed([address], ceiling=[address]), limits)
            yield gate.socket
            gate.close()
        finally:
            proxy.close()


@contextmanager
def _server() -> Iterator[int]:
    """A server that answers /N with N bytes, as fast as it can, so that it is not measured."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(client,), daemon=True).start()


def _answer(client: socket.socket) -> None:
    with client:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65_536)
        left = int(head.split()[1].rpartition(b"/")[2])
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
        while left:
            piece = memoryview(PIECE)[:left]
            client.sendall(piece)
            left -= len(piece)
