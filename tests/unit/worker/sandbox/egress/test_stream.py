"""Streams over real sockets: turns for others, and what breaks told in one way."""

import asyncio
import socket

import pytest

from worker.sandbox.egress.errors import BadRequestError, ClientGoneError
from worker.sandbox.egress.stream import Stream


def run(work):
    """Run `work` on a stream and its peer."""

    async def main():
        ours, theirs = socket.socketpair()
        stream, peer = Stream(ours, ClientGoneError), Stream(theirs, ClientGoneError)
        try:
            async with asyncio.timeout(30):
                return await work(stream, peer)
        finally:
            stream.close()
            peer.close()

    return asyncio.run(main())


def test_a_busy_stream_gives_others_their_turn():
    async def work(stream, _peer):
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        for _ in range(100):
            await stream.send(b"x")  # never has to wait: the kernel takes it all
        counting.cancel()
        return turns

    assert run(work) >= 99


def test_what_was_read_ahead_comes_first():
    async def work(stream, peer):
        await peer.send(b"abcdef")
        assert await stream.fill()
        assert await stream.read(2) == b"ab"
        assert await stream.read_exactly(3) == b"cde"
        await peer.send(b"ghi")
        assert await stream.read() == b"f"
        assert await stream.read() == b"ghi"
        peer.end()
        assert await stream.read() == b""
        with pytest.raises(BadRequestError):
            await stream.read_exactly(1)

    run(work)


def test_a_peer_that_has_gone_is_told_as_what_was_asked_for():
    async def work(stream, peer):
        peer.close()
        raised = []
        for _ in range(3):
            with pytest.raises(ClientGoneError) as caught:
                await stream.send(b"x")
            raised.append(caught.value)
        # One instance, raised again and again, would hold on to every frame it has seen.
        assert len(set(map(id, raised))) == 3

    run(work)
