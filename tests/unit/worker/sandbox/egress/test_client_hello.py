"""The server name in a ClientHello: of real clients, however it is cut up, and of hostile ones."""

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.egress import client_hello, reasons
from worker.sandbox.egress.client_hello import server_name
from worker.sandbox.egress.errors import RefusedError


def real_hello(name: str | None, version: ssl.TLSVersion | None = None) -> bytes:
    """Return what OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, content)


def names(*entries: tuple[int, bytes]) -> bytes:
    body = b"".join(bytes([kind]) + vector(2, name) for kind, name in entries)
    return extension(0, vector(2, body))


def hello(extensions: bytes | None = b"", after: bytes = b"") -> bytes:
    body = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\x00")
    if extensions is not None:
        body += vector(2, extensions)
    return b"\x01" + vector(3, body + after)


def records(message: bytes, size: int = 16_384) -> bytes:
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


@pytest.mark.parametrize("version", [None, ssl.TLSVersion.TLSv1_2])
def test_the_name_of_a_real_client_is_found(version):
    assert server_name(real_hello("api.example.com", version)) == "api.example.com"
    assert server_name(real_hello(None, version)) == ""


def test_an_address_is_no_server_name_to_a_real_client():
    assert server_name(real_hello("127.0.0.1")) == ""


def test_every_cut_of_a_real_hello_asks_for_more():
    data = real_hello("api.example.com")
    for cut in range(len(data)):
        assert server_name(data[:cut]) is None, cut


@pytest.mark.parametrize("size", [5, 40])
def test_a_hello_over_several_records_is_joined(size):
    message = hello(names((0, b"api.example.com")), b"")
    data = records(message, size)
    assert data.count(b"\x16\x03\x01") > 1
    assert server_name(data) == "api.example.com"
    assert all(server_name(data[:cut]) is None for cut in range(len(data)))


def test_what_follows_the_hello_is_not_looked_at():
    data = records(hello(names((0, b"a.test"))))
    assert server_name(data + b"\x17\x03\x03\x00\x05early") == "a.test"


def test_a_hello_without_extensions_has_no_name():
    assert server_name(records(hello(None))) == ""
    assert server_name(records(hello(b""))) == ""


NAMED = names((0, b"a.test"))
HOSTILE = {
    "plain text": b"GET / HTTP/1.1\r\n",
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "SSL 2": b"\x80\x2e\x01\x03\x01",
    "another major version": b"\x16\x02\x00\x00\x01\x01",
    "a server's hello": records(b"\x02" + vector(3, bytes(40))),
    "an empty record": b"\x16\x03\x01\x00\x00",
    "a record too long": b"\x16\x03\x01\x40\x01",
    "a message too long": records(b"\x01" + (client_hello.MAX_HELLO).to_bytes(3, "big")),
    "many records": records(hello(NAMED), 1),
    "two messages in a record": records(hello(NAMED) + hello(NAMED)),
    "a tail after the extensions": records(hello(NAMED, b"x")),
    "two name extensions": records(hello(NAMED + NAMED)),
    "two names": records(hello(names((0, b"a.test"), (0, b"b.test")))),
    "a name of another type": records(hello(names((1, b"a.test")))),
    "an empty name": records(hello(names((0, b"")))),
    "no names": records(hello(names())),
    "a name that is not ASCII": records(hello(names((0, "ä.test".encode())))),
    "a tail after the names": records(hello(extension(0, names((0, b"a.test"))[4:] + b"x"))),
    "a length past the end": records(hello(b"\x00\x00\x00\xff")),
    "a message cut short": records(b"\x01" + vector(3, bytes(10))),
    "a record of another kind between": records(hello(NAMED)[:20]) + b"\x17\x03\x03\x00\x01x",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_is_no_proper_hello_is_refused(what):
    with pytest.raises(RefusedError) as caught:
        server_name(HOSTILE[what])
    assert caught.value.reason == reasons.NOT_TLS


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data):
    for candidate in (data, b"\x16\x03\x01" + data, records(b"\x01" + vector(3, data))):
        with contextlib.suppress(RefusedError):
            server_name(candidate)


@given(st.data())
def test_a_changed_real_hello_raises_nothing_else(data):
    changed = bytearray(REAL)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RefusedError):
        server_name(bytes(changed))


REAL = real_hello("api.example.com")
