"""Quotas to the last one, slow and numerous clients, and a neighbour who does not notice them."""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.harness import wait_until
from tests.integration.egress.support import (
    OpenGate,
    ProxyThread,
    Server,
    denied_for,
    echo,
    in_future,
    read_all,
    read_head,
    serving,
    status_of,
)
from worker.sandbox.egress.decisions import MAX_DECISIONS
from worker.sandbox.egress.limits import WAITING_CLIENTS, Limits
from worker.sandbox.egress.places import BACKLOG


@pytest.fixture
def server(proxy: ProxyThread) -> Iterator[Server]:
    with serving(echo) as running:
        proxy.names["a.test"] = [running.address]
        yield running


@pytest.fixture
def web(proxy: ProxyThread) -> Iterator[Server]:
    def talk(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with serving(talk) as running:
        proxy.names["a.test"] = [running.address]
        yield running


def connect_request(server: Server) -> bytes:
    return f"CONNECT a.test:{server.port} HTTP/1.1\r\n\r\n".encode()


def get_request(server: Server, *lines: str) -> bytes:
    host = f"a.test:{server.port}"
    head = [f"GET http://{host}/ HTTP/1.1", f"Host: {host}", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def opened(gate: OpenGate, server: Server) -> socket.socket:
    client = gate.connect()
    client.sendall(connect_request(server))
    assert status_of(read_head(client)) == 200
    return client


def test_exactly_as_many_connections_as_the_quota_are_let_through(
    proxy: ProxyThread, server: Server
) -> None:
    gate = proxy.open(f"a.test:{server.port}", max_requests=3)
    for _ in range(3):
        with opened(gate, server) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    for _ in range(2):
        answer = gate.ask(connect_request(server))
        assert status_of(answer) == 403
        assert denied_for(answer) == "quota_exceeded"
    assert server.connections == 3
    report = gate.settle(5)
    assert (report.requests, report.denied) == (3, 2)


def test_requests_on_one_connection_count_as_much_as_connections(
    proxy: ProxyThread, web: Server
) -> None:
    gate = proxy.open(f"a.test:{web.port}", max_requests=3)
    with gate.connect() as client:
        client.sendall(get_request(web) * 4)
        data = read_all(client)
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert data.count(b"HTTP/1.1 403 Denied: quota_exceeded") == 1
    assert web.connections == 3
    assert denied_for(gate.ask(connect_request(web))) == "quota_exceeded"


def test_a_race_for_the_quota_lets_no_more_through(proxy: ProxyThread, web: Server) -> None:
    gate = proxy.open(f"a.test:{web.port}", max_requests=10)
    asking = [in_future(lambda: gate.ask(get_request(web, "Connection: close"))) for _ in range(40)]
    answers = [one.result(30) for one in asking]
    assert sum(status_of(answer) == 200 for answer in answers) == 10
    assert web.connections == 10


def test_refusals_use_up_no_quota_and_failures_do(proxy: ProxyThread, server: Server) -> None:
    gate = proxy.open(f"a.test:{server.port}", "gone.test", max_requests=2)
    for _ in range(5):
        assert denied_for(gate.ask(b"CONNECT b.test:80 HTTP/1.1\r\n\r\n")) == "host_not_allowed"
    assert status_of(gate.ask(b"CONNECT gone.test:80 HTTP/1.1\r\n\r\n")) == 502
    opened(gate, server).close()
    assert denied_for(gate.ask(connect_request(server))) == "quota_exceeded"


def test_a_quota_of_none_lets_nothing_through_and_looks_nothing_up(
    proxy: ProxyThread, server: Server
) -> None:
    gate = proxy.open(f"a.test:{server.port}", max_requests=0)
    assert denied_for(gate.ask(connect_request(server))) == "quota_exceeded"
    assert proxy.looked_up == []


def test_one_connection_too_many_is_refused_and_has_its_turn_later(
    proxy: ProxyThread, server: Server
) -> None:
    gate = proxy.open(f"a.test:{server.port}", max_connections=2)
    first, second = opened(gate, server), opened(gate, server)
    assert denied_for(gate.ask(connect_request(server))) == "too_many_connections"
    first.close()
    wait_until(lambda: gate_has_room(gate, server))
    second.close()


def gate_has_room(gate: OpenGate, server: Server) -> bool:
    with gate.connect() as client:
        client.sendall(connect_request(server))
        return status_of(read_head(client)) == 200


@pytest.mark.parametrize("way", ["up", "down"])
def test_bytes_over_the_limit_end_the_connection_and_all_later_ones(
    proxy: ProxyThread, server: Server, way: str
) -> None:
    gate = proxy.open(f"a.test:{server.port}", **{f"max_bytes_{way}": 1000})
    with opened(gate, server) as client:
        client.sendall(b"x" * 600)
        heard = b""
        while len(heard) < 600:
            heard += client.recv(1000)
        client.sendall(b"x" * 401)
        assert read_all(client) == b""
    assert denied_for(gate.ask(connect_request(server))) == "byte_limit"
    report = gate.settle(2)
    assert report.outcomes == {"byte_limit": 2}
    assert report.denied == 1
    assert getattr(report, f"bytes_{way}") == 1000


def test_a_plain_response_over_the_byte_limit_breaks_off(proxy: ProxyThread) -> None:
    def talk(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))

    with serving(talk) as web:
        proxy.names["a.test"] = [web.address]
        gate = proxy.open(f"a.test:{web.port}", max_bytes_down=50_000)
        assert len(gate.ask(get_request(web))) < 60_000
        assert gate.settle(1).outcomes == {"byte_limit": 1}


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET http://a.test/ HTTP/1.1\r\nHost: a", b"\x05\x01"]
)
def test_a_head_that_does_not_come_in_time_is_not_waited_for(
    proxy: ProxyThread, begun: bytes
) -> None:
    gate = proxy.open("a.test", header_seconds=0.3)
    with gate.connect() as client:
        client.sendall(begun)
        answer = read_all(client)
    if begun.startswith(b"G"):
        assert status_of(answer) == 408
    assert gate.close().outcomes == ({"header_timeout": 1} if begun else {})


def test_a_head_that_comes_byte_by_byte_has_no_more_time(proxy: ProxyThread) -> None:
    gate = proxy.open("a.test", header_seconds=0.5)
    with gate.connect() as client:
        began = time.monotonic()
        pause = threading.Event()
        with contextlib.suppress(OSError):
            for byte in get_request_forever():
                client.sendall(byte)
                pause.wait(0.05)
        assert time.monotonic() - began < 10
        assert status_of(read_all(client)) == 408


def get_request_forever() -> Iterator[bytes]:
    yield b"GET http://a.test/ HTTP/1.1\r\n"
    for _ in range(1000):
        yield b"X: y\r\n"


def test_a_body_that_stops_coming_is_not_waited_for(proxy: ProxyThread) -> None:
    with serving(lambda client: client.recv(1) and threading.Event().wait(5)) as silent:
        proxy.names["a.test"] = [silent.address]
        gate = proxy.open(f"a.test:{silent.port}", idle_seconds=0.3)
        answer = gate.ask(get_request(silent, "Content-Length: 10") + b"half")
        assert status_of(answer) == 504
        assert gate.settle(1).outcomes == {"idle_timeout": 1}


def test_a_connection_that_is_kept_for_nothing_is_closed(proxy: ProxyThread, web: Server) -> None:
    gate = proxy.open(f"a.test:{web.port}", idle_seconds=0.3)
    with gate.connect() as client:
        client.sendall(get_request(web))
        assert status_of(read_head(client)) == 200
        assert read_all(client) == b"ok"
    assert gate.close().outcomes == {"closed": 1}


def test_slow_clients_in_number_leave_their_neighbour_alone(
    proxy: ProxyThread, server: Server
) -> None:
    crowded = proxy.open(f"a.test:{server.port}", accept_burst=500, accept_rate=1000)
    quiet = proxy.open(f"a.test:{server.port}")
    with contextlib.ExitStack() as stack:
        for _ in range(Limits().max_connections + WAITING_CLIENTS):
            client = stack.enter_context(crowded.connect())
            client.sendall(b"GET http://a.test/ HTTP/1.1\r\nHost: a")
        # Not one more is accepted there; here it is as if nobody was.
        with opened(quiet, server) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"


def test_clients_beyond_a_gates_places_wait_and_are_served_when_there_is_room(
    proxy: ProxyThread, server: Server
) -> None:
    gate = proxy.open(f"a.test:{server.port}", max_connections=1, header_seconds=600)
    crowd = [gate.connect() for _ in range(1 + WAITING_CLIENTS)]
    for client in crowd:
        client.sendall(b"G")
    late = gate.connect()
    late.sendall(connect_request(server))
    late.settimeout(0.3)
    with pytest.raises(TimeoutError):
        late.recv(1)
    crowd[0].close()
    late.settimeout(30)
    assert status_of(read_head(late)) == 200
    for client in (*crowd, late):
        client.close()


def test_a_flood_of_connects_is_slowed_to_the_gates_rate(
    proxy: ProxyThread, server: Server
) -> None:
    gate = proxy.open("a.test", accept_rate=20, accept_burst=10)
    began, denied = time.monotonic(), 0
    while denied < 30:
        assert denied_for(gate.ask(b"CONNECT b.test:80 HTTP/1.1\r\n\r\n")) == "host_not_allowed"
        denied += 1
    # Ten at once, and twenty a second after that.
    assert time.monotonic() - began > 0.7


def test_refused_requests_on_one_connection_are_slowed_too(proxy: ProxyThread, web: Server) -> None:
    gate = proxy.open(f"a.test:{web.port}", accept_rate=20, accept_burst=10)
    began = time.monotonic()
    with gate.connect() as client:
        client.sendall(get_request(web) * 30 + get_request(web, "Connection: close"))
        assert read_all(client).count(b"200 OK") == 31
    assert time.monotonic() - began > 0.7


def flood(gate: OpenGate, stop: threading.Event, done: list[int]) -> None:
    """Connect as fast as it goes, with every kind of nonsense, and never wait for an answer."""
    words = [b"", b"G", b"\x05\x01\x00", b"\x00" * 1000, b"CONNECT b.test:80 HTTP/1.1\r\n\r\n"]
    kept: list[socket.socket] = []
    while not stop.is_set():
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(str(gate.path))
            client.send(words[done[0] % len(words)])
            done[0] += 1
        except OSError as error:
            assert error.errno in (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET), error
        kept.append(client)
        if len(kept) > BACKLOG:
            kept.pop(0).close()
    for client in kept:
        client.close()


def test_a_flood_at_one_gate_keeps_no_other_from_being_served(
    proxy: ProxyThread, server: Server
) -> None:
    flooded, quiet = proxy.open("a.test"), proxy.open(f"a.test:{server.port}", max_requests=None)

    def served() -> None:
        with opened(quiet, server) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"

    stop, done = threading.Event(), [0]
    flooding = threading.Thread(target=flood, args=(flooded, stop, done))
    flooding.start()
    try:
        wait_until(lambda: done[0] > BACKLOG)
        for _ in range(30):
            served()
        assert flooding.is_alive()
    finally:
        stop.set()
        flooding.join(30)
    assert flooded.close().requests == 0


def test_a_busy_tunnel_at_one_gate_does_not_stop_another(
    proxy: ProxyThread, server: Server
) -> None:
    def pour(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client.sendall(bytes(1_000_000))

    with serving(pour) as source:
        busy = proxy.open(f"a.test:{source.port}")
        quiet = proxy.open(f"a.test:{server.port}")
        taking = []
        for _ in range(8):
            client = opened(busy, source)
            taking.append((client, in_future(lambda client=client: read_all(client))))
        for _ in range(10):
            with opened(quiet, server) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        for client, _ in taking:
            client.shutdown(socket.SHUT_RDWR)
        for client, reading in taking:
            reading.result(30)
            client.close()


def test_thousands_of_refusals_are_told_in_few_words(proxy: ProxyThread) -> None:
    gate = proxy.open("a.test", accept_rate=100_000, accept_burst=100_000)
    for number in range(3000):
        host = f"h{number % 200}.test"
        gate.ask(f"CONNECT {host}:80 HTTP/1.1\r\n\r\n".encode())
    report = gate.close()
    assert len(report.decisions) == MAX_DECISIONS
    assert report.denied == 3000
    assert report.more == {"host_not_allowed": 3000 - MAX_DECISIONS}
    assert sum(report.more_hosts.values()) == 3000 - MAX_DECISIONS
    assert len(report.more_hosts) < 60


def test_thousands_of_clients_that_vanish_leave_nothing_behind(
    proxy: ProxyThread, server: Server
) -> None:
    gate = proxy.open(f"a.test:{server.port}", accept_rate=100_000, max_requests=None)
    request = connect_request(server)
    for number in range(2000):
        with gate.connect() as client:
            client.sendall(request[: 1 + number % len(request)])
    with opened(gate, server) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    wait_until(lambda: not server.open, what="the end of the server's connections")
    gate.close()


def test_who_leaves_before_asking_for_anything_is_no_decision(proxy: ProxyThread) -> None:
    gate = proxy.open("a.test")
    for begun in (b"", b"G", b"GET http://a.test/ HTTP/1.1\r\n", b"\x05", b"\x05\x01\x00"):
        with gate.connect() as client:
            client.sendall(begun)
    # They came first, so they have been seen when this one is answered.
    gate.ask(b"CONNECT b.test:80 HTTP/1.1\r\n\r\n")
    report = gate.close()
    assert report.outcomes.keys() <= {"host_not_allowed", "bad_request"}
    assert report.outcomes["host_not_allowed"] == 1


def test_closing_a_gate_ends_its_connections_and_removes_its_directory(
    proxy: ProxyThread, server: Server
) -> None:
    gate = proxy.open(f"a.test:{server.port}")
    with opened(gate, server) as client, gate.connect() as waiting:
        report = gate.close()
        assert read_all(client) == read_all(waiting) == b""
    assert report.outcomes == {"gate_closed": 1}
    wait_until(lambda: not server.open)
    assert not gate.directory.exists()
