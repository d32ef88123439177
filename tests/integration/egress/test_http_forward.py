"""Plain HTTP through the proxy: what is sent on, what comes back, and when a connection is kept."""

import socket
import threading

import pytest

from tests.harness import wait_until
from tests.integration.egress.support import (
    PIECE,
    ProxyThread,
    denied_for,
    in_future,
    read_all,
    read_head,
    serving,
    status_of,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(answer: bytes, heard: list[bytes], body: int = 0):
    """Return a server's talk: read a head and a body, remember both, answer, and close."""

    def talk(client: socket.socket) -> None:
        data = read_head(client)
        while len(data.partition(b"\r\n\r\n")[2]) < body:
            data += client.recv(PIECE)
        heard.append(data)
        client.sendall(answer)

    return talk


def get(port: int, path: str = "/", *lines: str, method: str = "GET", minor: int = 1) -> bytes:
    host = f"a.test:{port}"
    head = [f"{method} http://{host}{path} HTTP/1.{minor}", f"Host: {host}", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


@pytest.fixture
def reach(proxy: ProxyThread):
    """Return a function that opens a gate to a.test at a server's port."""

    def open_gate(server, **limits):
        proxy.names["a.test"] = [server.address]
        return proxy.open(f"a.test:{server.port}", **limits)

    return open_gate


def test_a_request_is_sent_on_with_our_own_host_and_without_lines_for_us(reach):
    heard: list[bytes] = []
    with serving(answering(OK, heard)) as server:
        gate = reach(server)
        answer = gate.ask(
            f"GET HTTP://A.Test.:{server.port}/x?y=%20z HTTP/1.1\r\nhost: a.TEST:{server.port}\r\n"
            "Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\n"
            "Connection: close, x-mine\r\nX-Mine: 1\r\nAccept: */*\r\n\r\n".encode()
        )
        expected = f"GET /x?y=%20z HTTP/1.1\r\nHost: a.test:{server.port}\r\nAccept: */*\r\n"
        assert heard == [expected.encode() + b"Connection: close\r\n\r\n"]
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def test_each_request_on_one_connection_is_judged_and_counted(reach):
    heard: list[bytes] = []
    with serving(answering(OK, heard)) as server:
        gate = reach(server)
        with gate.connect() as client:
            for path in ("/1", "/2", "/3"):
                client.sendall(get(server.port, path))
                assert status_of(read_head(client)) == 200
                assert client.recv(2) == b"ok"
            client.sendall(get(server.port).replace(b"a.test", b"evil.test"))
            assert denied_for(read_all(client)) == "host_not_allowed"
        assert [head.split(b" ")[1] for head in heard] == [b"/1", b"/2", b"/3"]
        report = gate.settle(4)
    assert report.requests == 3
    assert report.outcomes == {"closed": 3, "host_not_allowed": 1}
    assert [one.host for one in report.decisions] == ["a.test"] * 3 + ["evil.test"]


def test_pipelined_requests_are_answered_in_order_and_each_is_judged(reach):
    heard: list[bytes] = []
    with serving(answering(OK, heard)) as server:
        gate = reach(server)
        evil = get(server.port, "/no").replace(b"a.test", b"evil.test")
        data = gate.ask(get(server.port, "/1") + get(server.port, "/2") + evil + get(server.port))
        assert [head.split(b" ")[1] for head in heard] == [b"/1", b"/2"]
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert data.count(b"HTTP/1.1 403 Denied") == 1
    assert data.index(b"HTTP/1.1 403") > data.rindex(b"HTTP/1.1 200")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_goes_up_and_the_next_request_is_found_behind_it(reach, chunked):
    heard: list[bytes] = []
    framed = b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n" if chunked else b"hello!"
    sent_on = b"6\r\nhello!\r\n0\r\n\r\n" if chunked else framed  # small chunks are joined
    line = "Transfer-Encoding: chunked" if chunked else "Content-Length: 6"
    with serving(answering(OK, heard, len(sent_on))) as server:
        gate = reach(server)
        with gate.connect() as client:
            for _ in range(2):
                client.sendall(get(server.port, "/", line, method="POST") + framed)
                assert status_of(read_head(client)) == 200
                assert client.recv(2) == b"ok"
    for data in heard:
        head, _, body = data.partition(b"\r\n\r\n")
        assert body == sent_on
        assert line.encode() in head


def test_a_client_that_waits_for_100_gets_it(reach):
    def talk(client: socket.socket) -> None:
        assert b"Expect: 100-continue" in read_head(client)
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert client.recv(5) == b"hello"
        client.sendall(OK)

    with serving(talk) as server, reach(server).connect() as client:
        lines = ("Expect: 100-continue", "Content-Length: 5")
        client.sendall(get(server.port, "/", *lines, method="PUT"))
        assert status_of(read_head(client)) == 100
        client.sendall(b"hello")
        assert status_of(read_head(client)) == 200


def test_a_server_may_answer_before_it_has_the_body(reach):
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!"
    with serving(answering(answer, [])) as server, reach(server).connect() as client:
        client.sendall(get(server.port, "/", "Content-Length: 100", method="POST") + b"begun")
        data = read_all(client)
    assert status_of(data) == 413
    assert b"Connection: close" in data
    assert data.endswith(b"no!")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    ],
)
def test_a_response_without_a_body_ends_at_once_and_the_connection_is_kept(reach, method, answer):
    def talk(client: socket.socket) -> None:
        read_head(client)
        client.sendall(answer)
        client.recv(1)  # does not close by itself: the end must be known without that

    with serving(talk) as server, reach(server).connect() as client:
        for _ in range(2):
            client.sendall(get(server.port, method=method))
            assert status_of(read_head(client)) == status_of(answer)


def test_a_chunked_response_is_passed_on_in_chunks(reach):
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n0\r\nTrailer: dropped\r\n\r\n"
    )
    with serving(answering(answer, [])) as server:
        gate = reach(server)
        data = gate.ask(get(server.port, "/", "Connection: close"))
        assert data.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in data
        # A client of HTTP/1.0 knows no chunks: it reads until the end.
        old = gate.ask(get(server.port, minor=0))
    assert old.endswith(b"\r\n\r\nhello")
    assert b"Transfer-Encoding" not in old
    assert b"Connection: close" in old


def test_a_response_that_ends_with_its_connection_does_so_here_too(reach):
    with serving(answering(b"HTTP/1.0 200 OK\r\n\r\nall of it", [])) as server:
        data = reach(server).ask(get(server.port))
    assert data == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"


def test_a_response_that_breaks_off_is_seen_to_break_off(reach):
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", [])) as server:
        gate = reach(server)
        data = gate.ask(get(server.port))
        assert data.endswith(b"half")
        assert gate.settle(1).outcomes == {"upstream_failed": 1}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_proper_response_is_a_502(reach, answer):
    with serving(answering(answer, [])) as server:
        gate = reach(server)
        data = gate.ask(get(server.port, "/", "Connection: close"))
        data = data[data.index(b"HTTP/1.1 502") :]
        assert b"X-AgentCore-Failed: bad_response" in data
        assert gate.settle(1).outcomes == {"bad_response": 1}


def test_a_server_cannot_speak_in_the_proxys_name(reach):
    answer = b"HTTP/1.1 200 OK\r\nX-AgentCore-Denied: quota_exceeded\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(answer, [])) as server:
        data = reach(server).ask(get(server.port, "/", "Connection: close"))
    assert status_of(data) == 200
    assert b"AgentCore" not in data


def test_a_redirect_is_the_clients_to_follow_and_is_judged_then(reach):
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(answer, [])) as server:
        gate = reach(server)
        data = gate.ask(get(server.port, "/", "Connection: close"))
        assert b"Location: http://evil.test/" in data
        followed = gate.ask(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    assert denied_for(followed) == "host_not_allowed"


def test_no_server_is_a_502_with_the_reason(reach):
    with serving(answering(OK, [])) as server:
        gate = reach(server)
    data = gate.ask(get(server.port))
    assert status_of(data) == 502
    assert b"X-AgentCore-Failed: connect_refused" in data
    report = gate.close()
    assert report.requests == 1
    assert report.denied == 0


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"])
def test_a_client_that_leaves_frees_a_silent_server_at_once(reach, begun):
    heard, left = threading.Event(), threading.Event()

    def talk(client: socket.socket) -> None:
        read_head(client)
        client.sendall(begun)
        heard.set()
        if client.recv(1) == b"":
            left.set()

    with serving(talk) as server:
        gate = reach(server)
        client = gate.connect()
        client.sendall(get(server.port))
        assert heard.wait(10)
        if begun:
            while not client.recv(PIECE).endswith(b"begun"):
                pass
        client.close()
        assert left.wait(10)
        assert gate.settle(1).outcomes == {"client_gone": 1}


def test_a_client_that_only_stops_sending_still_gets_its_answer(reach):
    with serving(answering(OK, [])) as server, reach(server).connect() as client:
        client.sendall(get(server.port, "/", "Connection: close"))
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).endswith(b"ok")


def test_a_large_body_goes_both_ways_whole(reach):
    size = 5_000_000
    payload = bytes(range(256)) * (size // 256)

    def talk(client: socket.socket) -> None:
        data = read_head(client)
        body = data.partition(b"\r\n\r\n")[2]
        while len(body) < len(payload):
            body += client.recv(PIECE)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with serving(talk) as server:
        gate = reach(server)
        with gate.connect() as client:
            line = f"Content-Length: {len(payload)}"
            head = get(server.port, "/", line, "Connection: close", method="POST")
            sending = in_future(lambda: client.sendall(head + payload))
            data = read_all(client)
            sending.result(10)
        assert data.partition(b"\r\n\r\n")[2] == payload
        wait_until(lambda: gate.totals()["bytes_down"] >= len(payload))
        assert gate.settle(1).bytes_up >= len(payload)


def test_a_reader_that_does_not_read_holds_the_server_up_and_not_the_proxys_memory(reach):
    sent = []

    def talk(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        client.settimeout(1)
        while True:
            sent.append(client.send(bytes(PIECE)))

    with serving(talk) as server:
        gate = reach(server)
        with gate.connect() as client:
            client.sendall(get(server.port))
            wait_until(lambda: not server.open, what="the server's giving up")
            # Kernel buffers hold some megabytes on the way; without backpressure there is no end.
            assert sum(sent) < 64_000_000
