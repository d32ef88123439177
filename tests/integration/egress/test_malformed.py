"""What is not HTTP or SOCKS as the standards have it is refused with a reason, and goes nowhere."""

import contextlib
import random
import socket

import pytest

from tests.integration.egress.support import ProxyThread, denied_for, echo, serving, status_of

HOST = b"Host: a.test\r\n"
POST = b"POST http://a.test/ HTTP/1.1\r\n" + HOST
GET = b"GET http://a.test/ HTTP/1.1\r\n"
SMUGGLED = b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"
MALFORMED = {
    "conflicting lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 6\r\n\r\nhello",
    "length and chunks": POST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunks and length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "two codings": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a hidden coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded line": POST + b"X: a\r\n Content-Length: 5\r\n\r\nhello",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"GET http://a.test/ HTTP/1.1\nHost: a.test\n\n",
    "one bare line feed": GET + HOST + b"X: a\nContent-Length: 5\r\n\r\nhello",
    "a bare carriage return": GET + HOST + b"X: a\rContent-Length: 5\r\n\r\nhello",
    "a NUL in a header": GET + HOST + b"X: a\x00b\r\n\r\n",
    "a NUL in the line": b"GET http://a.test/\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "another Host": GET + b"Host: evil.test\r\n\r\n",
    "two Hosts": GET + HOST + b"Host: evil.test\r\n\r\n",
    "no Host": GET + b"\r\n",
    "the form of a plain server": b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a user name": b"GET http://a.test@evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    "a fragment": b"GET http://a.test#@evil.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET http://a.test/\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "SOCKS4": b"\x04\x01\x00\x50\x00\x00\x00\x01user\x00a.test\x00\r\n\r\n",
    "garbage": bytes(range(255, 5, -1)) + b"\r\n\r\n",
    "a line without an end": b"A" * 200_000,
    "a request line too long": b"GET http://a.test/"
    + b"a" * 9000
    + b" HTTP/1.1\r\n"
    + HOST
    + b"\r\n",
    "huge headers": GET + HOST + (b"X: " + b"a" * 1000 + b"\r\n") * 200 + b"\r\n",
    "many headers": GET + HOST + b"X: a\r\n" * 101 + b"\r\n",
    "an empty line first": b"\r\n" + GET + HOST + b"\r\n",
    "CONNECT without a port": b"CONNECT a.test HTTP/1.1\r\n\r\n",
    "CONNECT with a body": b"CONNECT a.test:80 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "CONNECT with another Host": b"CONNECT a.test:80 HTTP/1.1\r\nHost: evil.test:80\r\n\r\n",
    "CONNECT with a URL": b"CONNECT http://a.test:80/ HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_a_400_and_goes_nowhere(proxy: ProxyThread, what: str) -> None:
    with serving(echo) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open("a.test", "evil.test")
        answer = gate.ask(MALFORMED[what])
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.1 ") == 1  # nothing behind it is taken for a request
        assert denied_for(answer) == "bad_request"
        assert b"Connection: close" in answer
        report = gate.settle(1)
    assert server.connections == 0
    assert proxy.looked_up == []
    assert report.outcomes == {"bad_request": 1}
    assert (report.requests, report.denied) == (0, 1)


@pytest.mark.parametrize("size", ["zz", "-1", "0x1", "1 ", "+1", "", "1" * 17])
def test_a_bad_chunk_ends_the_request(proxy: ProxyThread, size: str) -> None:
    heard = []

    def talk(client: socket.socket) -> None:
        while data := client.recv(1000):
            heard.append(data)

    with serving(talk) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(f"a.test:{server.port}")
        host = f"a.test:{server.port}"
        head = f"POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = gate.ask(f"{head}2\r\nok\r\n{size}\r\n".encode() + SMUGGLED)
        assert status_of(answer) == 400
        report = gate.settle(1)
    assert report.outcomes == {"bad_request": 1}
    # It was let through, for its head went out; what broke it off is no denial.
    assert (report.decisions[0].allowed, report.denied) == (True, 0)
    assert report.decisions[0].bytes_up == report.bytes_up > 0
    # A chunked body that has not ended is no request to the server.
    assert b"evil" not in b"".join(heard)
    assert not b"".join(heard).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (b"https://a.test/", "bad_scheme"),
        (b"ftp://a.test/", "bad_scheme"),
        (b"http://exa mple/", "bad_request"),
        (b"http://a..test/", "invalid_host"),
        (b"http://-a.test/", "invalid_host"),
        (b"http://a.test:8080/", "port_not_allowed"),
        (b"http://b.test/", "host_not_allowed"),
        (b"http://sub.a.test/", "host_not_allowed"),
        (b"http://a.test.evil.test/", "host_not_allowed"),
        (b"http://127.0.0.1:22/", "port_not_allowed"),
        (b"http://10.0.0.1/", "address_not_allowed"),
        (b"http://167772161/", "address_not_allowed"),  # 10.0.0.1 as one number
        (b"http://012.0.0.1/", "address_not_allowed"),  # and with an octal part
        (b"http://0xa000001/", "address_not_allowed"),
        (b"http://169.254.169.254/latest/meta-data/", "address_not_allowed"),
        (b"http://[fd00:ec2::254]/latest/meta-data/", "address_not_allowed"),
        (b"http://[::ffff:169.254.169.254]/", "address_not_allowed"),
        (b"http://[64:ff9b::a9fe:a9fe]/", "address_not_allowed"),
        (b"http://93.184.215.14/", "address_not_allowed"),
    ],
)
def test_a_refusal_says_why(proxy: ProxyThread, url: bytes, reason: str) -> None:
    gate = proxy.open("a.test")
    host = url.split(b"//")[1].split(b"/")[0]
    answer = gate.ask(b"GET " + url + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert denied_for(answer) == reason
    report = gate.settle(1)
    assert (report.requests, report.denied) == (0, 1)
    assert proxy.looked_up == []


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"\x05\x01\x02", b"\x05\xff"),  # only with a password
        (b"\x05\x00", b"\x05\xff"),
        (b"\x05\x01\x00\x05\x02\x00\x03\x06a.test\x00\x50", b"\x05\x00\x05\x07"),  # BIND
        (b"\x05\x01\x00\x05\x03\x00\x03\x06a.test\x00\x50", b"\x05\x00\x05\x07"),  # UDP
        (b"\x05\x01\x00\x05\x01\x00\x09a.test", b"\x05\x00\x05\x01"),  # no such address type
        (b"\x05\x01\x00\x04\x01\x00\x03\x06a.test\x00\x50", b"\x05\x00\x05\x01"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x06b.test\x00\x50", b"\x05\x00\x05\x02"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", b"\x05\x00\x05\x02"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x06a.tes\x00\x00\x50", b"\x05\x00\x05\x02"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x06a.test\x00\x00", b"\x05\x00\x05\x02"),  # port 0
        (b"\x05\x01\x00\x05\x01\x00\x01\xa9\xfe\xa9\xfe\x00\x50", b"\x05\x00\x05\x02"),
        (b"\x05\x01\x00\x05\x01\x00\x04" + bytes(15) + b"\x01\x00\x50", b"\x05\x00\x05\x02"),
        (b"\x05\x01\x00\x05\x01", b"\x05\x00\x05\x01"),  # and then the end
    ],
)
def test_what_socks_may_not_do_has_its_code(proxy: ProxyThread, data: bytes, answer: bytes) -> None:
    gate = proxy.open("a.test")
    with gate.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := client.recv(100):
            heard += piece
    assert heard[: len(answer)] == answer
    assert gate.settle(1).denied == 1
    assert proxy.looked_up == []


@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_whatever_are_a_fault_of_ours(proxy: ProxyThread, seed: int) -> None:
    """The fixture fails for any fault that the proxy's own code reports."""
    chance = random.Random(seed)
    with serving(echo) as server:
        proxy.names["a.test"] = [server.address]
        gate = proxy.open(
            f"a.test:{server.port}", max_requests=None, accept_burst=1000, header_seconds=0.2,
            idle_seconds=0.2, half_closed_seconds=0.2,
        )  # fmt: skip
        host = f"a.test:{server.port}".encode()
        good = [
            b"GET http://" + host + b"/ HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
            b"POST http://" + host + b"/ HTTP/1.1\r\nHost: " + host
            + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"CONNECT " + host + b" HTTP/1.1\r\n\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
            b"\x05\x01\x00\x05\x01\x00\x03\x06a.test" + server.port.to_bytes(2, "big") + b"bytes",
        ]  # fmt: skip
        for _ in range(100):
            data = bytearray(chance.choice(good))
            for _ in range(chance.choice((0, 1, 1, 3, 20))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            with gate.connect() as client:
                cut = chance.randrange(len(data) + 1)
                with contextlib.suppress(OSError):
                    client.sendall(data[:cut])
                    client.sendall(data[cut:])
                    if chance.random() < 0.7:
                        client.shutdown(socket.SHUT_WR)
                        client.recv(chance.choice((1, 100_000)))
        gate.close()


def test_a_host_as_asked_is_recorded_without_what_could_harm_a_log(proxy: ProxyThread) -> None:
    gate = proxy.open("a.test")
    name = b"\x1b[2J\r\n" + b"a" * 240
    gate.ask(b"\x05\x01\x00\x05\x01\x00\x03" + bytes([len(name)]) + name + b"\x00\x50")
    (decision,) = gate.settle(1).decisions
    assert decision.host.startswith("?[2J??aaa")
    assert len(decision.host) <= 255
    assert decision.reason == "invalid_host"
