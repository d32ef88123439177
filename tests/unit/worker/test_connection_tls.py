"""The attach connection to an engine over TLS, whose records a network delivers in pieces."""

import socket
import ssl
import threading
import time

import pytest

from tests.integration.egress.tls import make_authority
from worker.sandbox.connection import Connection
from worker.sandbox.guest import protocol


class Engine:
    """The other end: speaks TLS in memory, so that a test sends as much of a record as it likes."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.ours, self.raw = socket.socketpair()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.raw.sendall(self._out.read())
                self._in.write(self.raw.recv(65_536))
            else:
                self.raw.sendall(self._out.read())
                return

    def record(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._out.read()

    def receive(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            try:
                got += self._tls.read(65_536)
            except ssl.SSLWantReadError:
                self._in.write(self.raw.recv(65_536))
        return got

    def attach_socket(self, _container_id, params):
        return self.ours


@pytest.fixture
def pair(tmp_path):
    authority = make_authority(tmp_path, "localhost")
    engine = Engine(authority.server_context())
    shaking = threading.Thread(target=engine.handshake)
    shaking.start()
    engine.ours = authority.client_context().wrap_socket(engine.ours, server_hostname="localhost")
    shaking.join(10)
    connection = Connection(engine, "id")
    yield connection, engine
    connection.close()
    engine.raw.close()


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def test_half_a_record_is_not_the_end_of_the_stream(pair):
    connection, engine = pair
    frame = protocol.frame(protocol.STDOUT, b"a")
    record = engine.record(bytes([1, 0, 0, 0]) + len(frame).to_bytes(4, "big") + frame)
    engine.raw.sendall(record[:7])
    assert connection.next_frame(soon(0.05)) is None
    assert not connection.ended
    engine.raw.sendall(record[7:])
    assert connection.next_frame(soon()) == (protocol.STDOUT, b"a")


def test_a_full_network_is_waited_for(pair):
    connection, engine = pair
    connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data, got = b"x" * 1_000_000, []
    reading = threading.Thread(target=lambda: got.append(engine.receive(len(data))))
    reading.start()
    connection.send(data, soon(30))
    reading.join(30)
    assert got == [data]
