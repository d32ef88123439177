"""The attach connection, on a real socket pair: deadlines, wake-ups, garbage, the end."""

import resource
import socket
import threading
import time

import pytest

from tests.harness import missing
from worker.sandbox.connection import Connection, kill_frame
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest import protocol

SELECT_LIMIT = 1024  # descriptors that select(2) can name


class Attached:
    """Stands where the engine's client is asked for the socket; the socket is a real one."""

    def __init__(self):
        self.ours, self.engine = socket.socketpair()

    def attach_socket(self, _container_id, params):
        assert params == {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        return self.ours


@pytest.fixture
def pair():
    attached = Attached()
    connection = Connection(attached, "id")
    yield connection, attached.engine
    connection.close()
    attached.engine.close()


def engine_bytes(data, stream=1):
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def soon(seconds=5.0):
    return time.monotonic() + seconds


def test_frames_come_out_one_at_a_time(pair):
    connection, engine = pair
    frames = [(protocol.STDOUT, b"a"), (protocol.STARTED, b""), (protocol.EXIT, b"{}")]
    engine.sendall(engine_bytes(b"".join(protocol.frame(*item) for item in frames)))
    assert [connection.next_frame(soon()) for _ in frames] == frames
    assert not connection.ended


def test_the_deadline_ends_the_waiting(pair):
    connection, _engine = pair
    assert connection.next_frame(soon(0.02)) is None
    assert connection.next_frame(soon(-1)) is None
    assert not connection.ended


def test_a_wake_up_ends_the_waiting(pair):
    connection, _engine = pair
    waker = threading.Thread(target=connection.wake)
    waker.start()
    started = time.monotonic()
    assert connection.next_frame(soon(60)) is None
    assert time.monotonic() - started < 30
    waker.join()


def test_the_end_of_the_stream_is_told_after_the_last_frame(pair):
    connection, engine = pair
    engine.sendall(engine_bytes(protocol.frame(protocol.EXIT, b"{}")))
    engine.close()
    assert connection.next_frame(soon()) == (protocol.EXIT, b"{}")
    assert connection.next_frame(soon()) is None
    assert connection.ended


def test_garbage_is_a_protocol_error(pair):
    connection, engine = pair
    engine.sendall(engine_bytes(b"Traceback (most recent call last)"))
    with pytest.raises(ProtocolError):
        connection.next_frame(soon())


def test_standard_error_is_for_diagnosis_only(pair):
    connection, engine = pair
    engine.sendall(engine_bytes(b"broken \xff", stream=2))
    assert connection.next_frame(soon(0.05)) is None
    assert connection.diagnostics == "broken \ufffd"


def test_what_is_sent_arrives(pair):
    connection, engine = pair
    connection.send(kill_frame("cancel"), soon())
    assert engine.recv(100) == protocol.frame(protocol.KILL, b"cancel")


def test_a_sandbox_that_reads_nothing_is_given_up(pair):
    connection, _engine = pair
    with pytest.raises(ProtocolError, match="does not read"):
        connection.send(b"x" * 50_000_000, soon(0.05))


def test_a_sandbox_that_closed_its_input_is_given_up(pair):
    connection, engine = pair
    engine.close()
    with pytest.raises(ProtocolError, match="closed"):
        connection.send(b"x" * 50_000_000, soon())


def test_a_worker_with_more_than_a_thousand_descriptors_still_reads():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * SELECT_LIMIT
    if hard != resource.RLIM_INFINITY and hard < wanted:
        missing(f"the hard limit on descriptors is {hard}: raise it to {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    held = []
    try:
        while not held or held[-1].fileno() < SELECT_LIMIT:
            held.append(socket.socket())
        attached = Attached()
        connection = Connection(attached, "id")
        try:
            attached.engine.sendall(engine_bytes(protocol.frame(protocol.STARTED)))
            assert connection.next_frame(soon()) == (protocol.STARTED, b"")
            connection.send(b"x", soon())
        finally:
            connection.close()
            attached.engine.close()
    finally:
        for item in held:
            item.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
