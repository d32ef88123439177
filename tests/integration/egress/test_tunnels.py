"""CONNECT and SOCKS5 tunnels: bytes both ways, ends of each kind, and the right TLS server."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from tests.integration.egress.support import (
    PATIENCE,
    OpenGate,
    ProxyThread,
    Server,
    denied_for,
    echo,
    own_loopback,
    read_all,
    read_head,
    serving,
    status_of,
)
from tests.integration.egress.tls import Authority, over_tls

WAYS = ["connect", "socks5"]


def tunnel(gate: OpenGate, way: str, host: str, port: int) -> socket.socket:
    """Return a connection to host:port that the gate has granted."""
    client = gate.connect()
    if way == "connect":
        client.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        assert status_of(read_head(client)) == 200
    else:
        name = host.encode()
        request = b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")
        client.sendall(b"\x05\x01\x00" + request)
        assert client.recv(2) == b"\x05\x00"
        assert client.recv(10)[:2] == b"\x05\x00"
    return client


@pytest.fixture
def echo_gate(proxy: ProxyThread) -> Iterator[tuple[OpenGate, Server]]:
    """A gate to a server that sends back what it hears."""
    with serving(echo) as server:
        proxy.names["a.test"] = [server.address]
        yield proxy.open(f"a.test:{server.port}"), server


@pytest.mark.parametrize("way", WAYS)
def test_bytes_go_both_ways_and_are_counted(echo_gate, way: str) -> None:
    gate, server = echo_gate
    with tunnel(gate, way, "A.test.", server.port) as client:
        for size in (1, 1000, 300_000):
            sending = threading.Thread(target=client.sendall, args=(b"x" * size,))
            sending.start()
            heard = 0
            while heard < size:
                heard += len(client.recv(100_000))
            sending.join()
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    report = gate.settle(1)
    assert (report.bytes_up, report.bytes_down, report.requests) == (301_001, 301_001, 1)
    (decision,) = report.decisions
    assert (decision.host, decision.port, decision.protocol) == ("A.test.", server.port, way)
    assert (decision.address, decision.allowed, decision.reason) == ("127.0.0.1", True, "closed")
    assert (decision.bytes_up, decision.bytes_down) == (301_001, 301_001)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_sent_right_behind_the_request_is_not_lost(echo_gate, way: str) -> None:
    gate, server = echo_gate
    port = server.port.to_bytes(2, "big")
    early = {
        "connect": f"CONNECT a.test:{server.port} HTTP/1.0\r\n\r\n".encode(),
        "socks5": b"\x05\x01\x00\x05\x01\x00\x03\x06a.test" + port,
    }[way]
    with gate.connect() as client:
        client.sendall(early + b"early")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).endswith(b"early")


@pytest.mark.parametrize("way", WAYS)
def test_a_side_that_has_ended_still_hears_the_other(proxy: ProxyThread, way: str) -> None:
    def answer_at_the_end(client: socket.socket) -> None:
        question = read_all(client)
        client.sendall(b"heard " + question)

    with serving(answer_at_the_end) as server:
        proxy.names["a.test"] = [server.address]
        with tunnel(proxy.open(f"a.test:{server.port}"), way, "a.test", server.port) as client:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"heard question"


def test_a_server_that_has_ended_still_hears_the_client(proxy: ProxyThread) -> None:
    heard, done = [], threading.Event()

    def end_first(client: socket.socket) -> None:
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        heard.append(read_all(client))
        done.set()

    with serving(end_first) as server:
        proxy.names["a.test"] = [server.address]
        with tunnel(proxy.open(f"a.test:{server.port}"), "connect", "a.test", server.port) as one:
            assert read_all(one) == b"bye"
            one.sendall(b"last words")
        assert done.wait(PATIENCE)
    assert heard == [b"last words"]


def test_a_server_that_speaks_first_is_heard(proxy: ProxyThread) -> None:
    with serving(lambda client: client.sendall(b"220 hello\r\n")) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}")
        with tunnel(gate, "connect", "a.test", server.port) as client:
            assert read_all(client) == b"220 hello\r\n"


def test_a_client_that_leaves_frees_a_silent_server_at_once(proxy: ProxyThread) -> None:
    left = threading.Event()

    def silent(client: socket.socket) -> None:
        if read_all(client) == b"last words":
            left.set()

    with serving(silent) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}", half_closed_seconds=600, idle_seconds=600)
        client = tunnel(gate, "connect", "a.test", server.port)
        client.sendall(b"last words")
        client.close()
        # What it sent before it left arrives all the same.
        assert left.wait(10)
        assert gate.settle(1).outcomes == {"closed": 1}


def test_a_client_that_leaves_unread_bytes_behind_frees_its_server(proxy: ProxyThread) -> None:
    left = threading.Event()

    def flood(client: socket.socket) -> None:
        try:
            while True:
                client.sendall(bytes(100_000))
        except OSError:
            left.set()

    with serving(flood) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}")
        client = tunnel(gate, "connect", "a.test", server.port)
        client.recv(1000)
        client.close()
        assert left.wait(10)


def test_a_server_that_resets_ends_the_tunnel_and_nothing_else(proxy: ProxyThread) -> None:
    def reset(client: socket.socket) -> None:
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with serving(reset) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}")
        for _ in range(2):
            with tunnel(gate, "connect", "a.test", server.port) as client:
                client.sendall(b"x")
                assert read_all(client) == b""
        assert gate.settle(2).outcomes == {"upstream_failed": 2}


def test_an_idle_tunnel_is_ended_and_a_busy_one_is_not(proxy: ProxyThread) -> None:
    with serving(echo) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}", idle_seconds=1.5)
        with tunnel(gate, "connect", "a.test", server.port) as client:
            moments = threading.Event()
            for _ in range(7):
                moments.wait(0.3)  # longer than that in all, and never so long in silence
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            assert read_all(client) == b""
        assert gate.settle(1).outcomes == {"idle_timeout": 1}


def test_a_half_closed_tunnel_does_not_stay_for_ever(proxy: ProxyThread) -> None:
    kept = []
    with serving(lambda client: kept.append(client.recv(1)) or threading.Event().wait(5)) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}", half_closed_seconds=0.2)
        with tunnel(gate, "connect", "a.test", server.port) as client:
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        assert gate.settle(1).outcomes == {"idle_timeout": 1}


# TLS. The servers listen on port 443 of an address of their own.


@pytest.fixture
def secure(proxy: ProxyThread, authority: Authority) -> Iterator[tuple[ProxyThread, Server]]:
    """A TLS server on port 443 that a.test and b.test lead to."""
    with serving(over_tls(authority, echo), own_loopback(), 443) as server:
        proxy.names["a.test"] = proxy.names["b.test"] = [server.address]
        yield proxy, server


def handshake(client: socket.socket, authority: Authority, name: str | None) -> ssl.SSLSocket:
    context = authority.client_context()
    context.check_hostname = name is not None
    return context.wrap_socket(client, server_hostname=name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["a.test", "A.TEST"])
def test_a_client_that_names_its_host_is_let_through(
    secure: tuple[ProxyThread, Server], authority: Authority, way: str, name: str
) -> None:
    gate = secure[0].open("a.test")
    with handshake(tunnel(gate, way, "a.test", 443), authority, name) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    assert gate.settle(1).outcomes == {"closed": 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "reason"), [("b.test", "server_name_mismatch"), (None, "server_name_missing")]
)
def test_another_server_name_or_none_is_refused_though_it_is_allowed_itself(
    secure: tuple[ProxyThread, Server], authority: Authority, way: str, name: str, reason: str
) -> None:
    gate = secure[0].open("a.test", "b.test")
    with (
        pytest.raises(ssl.SSLError, match="ACCESS_DENIED"),
        handshake(tunnel(gate, way, "a.test", 443), authority, name),
    ):
        pass
    report = gate.settle(1)
    assert report.outcomes == {reason: 1}
    assert (report.denied, report.bytes_up, report.bytes_down) == (1, 0, 0)


def test_an_address_takes_no_server_name(
    secure: tuple[ProxyThread, Server], authority: Authority
) -> None:
    proxy, server = secure
    gate = proxy.open("a.test")
    with handshake(tunnel(gate, "connect", server.address, 443), authority, None) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    with (
        pytest.raises(ssl.SSLError, match="ACCESS_DENIED"),
        handshake(tunnel(gate, "connect", server.address, 443), authority, "a.test"),
    ):
        pass
    assert gate.settle(2).outcomes == {"closed": 1, "server_name_mismatch": 1}


def test_a_hello_in_many_pieces_is_let_through(
    secure: tuple[ProxyThread, Server], authority: Authority
) -> None:
    gate = secure[0].open("a.test")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    # In several records, too, each of which arrives byte by byte.
    pieces = [hello[5:][at : at + 60] for at in range(0, len(hello) - 5, 60)]
    split = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)
    with tunnel(gate, "connect", "a.test", 443) as client:
        for byte in split:
            client.sendall(bytes([byte]))
        assert client.recv(1) == b"\x16"  # the server's hello
    assert gate.settle(1).denied == 0


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x00\x00",
        b"\x80\x2e",
    ],
)
def test_port_443_is_for_tls(secure: tuple[ProxyThread, Server], words: bytes) -> None:
    gate = secure[0].open("a.test")
    with tunnel(gate, "connect", "a.test", 443) as client:
        client.sendall(words)
        if words[0] == 0x80:
            client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    report = gate.settle(1)
    assert report.outcomes == {"not_tls": 1}
    assert report.bytes_up == 0


def test_a_client_that_ends_before_its_hello_has_done_no_wrong(
    secure: tuple[ProxyThread, Server],
) -> None:
    gate = secure[0].open("a.test")
    with tunnel(gate, "connect", "a.test", 443) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    report = gate.settle(1)
    assert (report.denied, report.outcomes) == (0, {"client_gone": 1})


def test_a_client_that_keeps_its_hello_back_is_ended(secure: tuple[ProxyThread, Server]) -> None:
    gate = secure[0].open("a.test", header_seconds=1.0)
    with tunnel(gate, "connect", "a.test", 443) as client:
        client.sendall(b"\x16\x03\x01")
        assert read_all(client) == b""
    assert gate.settle(1).outcomes == {"header_timeout": 1}


@pytest.mark.parametrize("first", [1, 300])
def test_tls_on_another_port_must_name_its_host_too(
    proxy: ProxyThread, authority: Authority, first: int
) -> None:
    with serving(over_tls(authority, echo)) as server:
        proxy.names["a.test"] = proxy.names["b.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}", f"b.test:{server.port}")
        with handshake(tunnel(gate, "connect", "a.test", server.port), authority, "a.test") as one:
            one.sendall(b"hello")
            assert one.recv(100) == b"hello"
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="b.test")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        with tunnel(gate, "connect", "a.test", server.port) as client:
            client.sendall(hello[:first])
            client.sendall(hello[first:])
            assert read_all(client)[0] == 21  # an alert
        assert gate.settle(2).outcomes == {"closed": 1, "server_name_mismatch": 1}


@pytest.mark.parametrize("port", [22, 25, 8080, 6379])
def test_a_tunnel_to_a_port_that_no_entry_names_is_refused(proxy: ProxyThread, port: int) -> None:
    gate = proxy.open("a.test")
    answer = gate.ask(f"CONNECT a.test:{port} HTTP/1.1\r\n\r\n".encode())
    assert denied_for(answer) == "port_not_allowed"
    assert proxy.looked_up == []


def test_no_server_has_its_own_socks_code(proxy: ProxyThread) -> None:
    with serving(echo) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}", "unknown.test")
    request = b"\x05\x01\x00\x05\x01\x00\x03"
    refused = gate.ask(request + b"\x06a.test" + server.port.to_bytes(2, "big"))
    assert refused[2:4] == b"\x05\x05"
    unknown = gate.ask(request + b"\x0cunknown.test\x00\x50")
    assert unknown[2:4] == b"\x05\x04"


def test_one_bad_address_refuses_the_name(proxy: ProxyThread) -> None:
    with serving(echo) as server:
        proxy.names["a.test"] = [server.address, "169.254.169.254"]
        gate = proxy.open(f"a.test:{server.port}")
        answer = gate.ask(f"CONNECT a.test:{server.port} HTTP/1.1\r\n\r\n".encode())
    assert denied_for(answer) == "address_not_allowed"
    assert server.connections == 0


def test_a_name_that_is_rebound_is_dialled_as_it_was_judged(proxy: ProxyThread) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"]])
    proxy.names["a.test"] = lambda: next(answers)
    with serving(echo) as server:
        gate = proxy.open(f"a.test:{server.port}")
        ask = f"CONNECT a.test:{server.port} HTTP/1.1\r\n\r\n".encode()
        with tunnel(gate, "connect", "a.test", server.port) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert proxy.looked_up == ["a.test"]  # once: there is no second answer to dial
        assert denied_for(gate.ask(ask)) == "address_not_allowed"
        assert denied_for(gate.ask(ask)) == "address_not_allowed"


def test_an_address_that_does_not_answer_leaves_the_next_its_turn(proxy: ProxyThread) -> None:
    with serving(echo) as server:
        closed = socket.create_server(("127.0.0.1", 0))
        port = server.port
        closed.close()
        proxy.names["a.test"] = ["127.0.0.9", "127.0.0.1"]  # the server listens on the second
        gate = proxy.open(f"a.test:{port}")
        with tunnel(gate, "connect", "a.test", port) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        (decision,) = gate.settle(1).decisions
    assert decision.address == "127.0.0.1"


def test_a_port_that_swallows_connections_is_given_up(proxy: ProxyThread) -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    crowd = []
    for _ in range(4):  # its queue is full: what comes now gets no answer
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
        crowd.append(one)
    try:
        proxy.names["a.test"] = ["127.0.0.1"]
        gate = proxy.open(f"a.test:{port}", connect_seconds=0.5)
        answer = gate.ask(f"CONNECT a.test:{port} HTTP/1.1\r\n\r\n".encode())
        assert status_of(answer) == 504
        assert gate.settle(1).outcomes == {"connect_timeout": 1}
    finally:
        for one in (*crowd, full):
            one.close()
