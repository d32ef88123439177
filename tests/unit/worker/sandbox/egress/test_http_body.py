"""Bodies of HTTP messages over a real socket, however the bytes arrive."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.egress import http_body
from worker.sandbox.egress.errors import BadRequestError, ClientGoneError
from worker.sandbox.egress.stream import Stream


def read(data: bytes, length: int | None, size: int = 1000) -> tuple[bytes, bytes]:
    """Return the body in `data`, sent in pieces of `size`, and what was left over."""

    async def work() -> tuple[bytes, bytes]:
        ours, theirs = socket.socketpair()
        stream, peer = Stream(ours, ClientGoneError), Stream(theirs, ClientGoneError)

        async def feed() -> None:
            for at in range(0, len(data), size):
                await peer.send(data[at : at + size])
            peer.end()

        feeding = asyncio.create_task(feed())
        try:
            body = b"".join([piece async for piece in http_body.pieces(stream, length)])
            await feeding
            while await stream.fill():
                pass
            return body, bytes(stream.buffer)
        finally:
            feeding.cancel()
            stream.close()
            peer.close()

    return asyncio.run(work())


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_counted_body_leaves_what_follows(size):
    assert read(b"helloGET next", 5, size) == (b"hello", b"GET next")
    assert read(b"GET next", 0, size) == (b"", b"GET next")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_chunked_body_is_joined_and_leaves_what_follows(size):
    data = b"5\r\nhello\r\n00A;x=y\r\n0123456789\r\n0\r\nTrailer: dropped\r\n\r\nGET next"
    assert read(data, None, size) == (b"hello0123456789", b"GET next")


@pytest.mark.parametrize(
    "data",
    [
        b"5\r\nhel",
        b"5\r\nhello\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"g\r\n",
        b"5;\x00\r\nhello\r\n0\r\n\r\n",
        b"1" * 16 + b"\r\n",
        b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\n folded: trailer\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
    ],
)
def test_a_chunk_that_two_readers_could_measure_in_two_ways_is_refused(data):
    with pytest.raises(BadRequestError):
        read(data, None)


def test_a_counted_body_that_ends_early_is_refused():
    with pytest.raises(BadRequestError):
        read(b"hel", 5)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.integers(1, 40))
def test_what_is_written_in_chunks_is_read_back_the_same(pieces, size):
    data = b"".join(http_body.chunk(piece) for piece in pieces) + http_body.LAST_CHUNK
    assert read(data, None, size) == (b"".join(pieces), b"")


def test_small_chunks_that_are_there_are_passed_on_together_and_not_without_end():
    async def work() -> list[int]:
        ours, theirs = socket.socketpair()
        stream = Stream(ours, ClientGoneError)
        with theirs:
            theirs.sendall(b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n")
            sizes = [len(piece) async for piece in http_body.pieces(stream, None)]
            stream.close()
        return sizes

    sizes = asyncio.run(work())
    assert sum(sizes) == 1000
    assert max(sizes) == http_body.MAX_JOINED
    assert len(sizes) < 1000 / http_body.MAX_JOINED + 5


def test_a_chunk_is_passed_on_though_the_next_has_only_begun():
    async def work() -> bytes:
        ours, theirs = socket.socketpair()
        stream = Stream(ours, ClientGoneError)
        with theirs:
            theirs.sendall(b"2\r\nok\r\n5\r\nhel")
            async with asyncio.timeout(30):
                pieces = [await anext(http_body.pieces(stream, None))]
            stream.close()
        return b"".join(pieces)

    assert asyncio.run(work()) == b"ok"
