"""Hostile bytes from a container: frames, or ProtocolError, and nothing kept without bound."""

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest.protocol import GUEST_KINDS, HEADER, MAX_GUEST_FRAME, frame
from worker.sandbox.stream import MAX_DIAGNOSTICS, Demultiplexer, FrameParser

KINDS = sorted(GUEST_KINDS)
frames_strategy = st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=50)), max_size=8)
ENGINE_HEADER = struct.Struct(">B3xL")


def engine(stream, data):
    """What the engine writes for `data` of one stream."""
    return ENGINE_HEADER.pack(stream, len(data)) + data


def cut(data, sizes):
    """Cut `data` into pieces of these sizes, over and over."""
    at, number = 0, 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        yield data[at : at + size]
        at, number = at + size, number + 1


def read(chunks):
    """Return all frames of the chunks of an attach stream."""
    demultiplexer, parser, found = Demultiplexer(), FrameParser(), []
    for chunk in chunks:
        for piece in demultiplexer.feed(chunk):
            found.extend(parser.feed(piece))
    return found, bytes(demultiplexer.diagnostics)


@given(
    frames_strategy,
    st.lists(st.integers(1, 40), min_size=1),
    st.lists(st.integers(1, 40), min_size=1),
    st.binary(max_size=100),
)
def test_any_chunking_yields_the_same_frames(frames, pieces, chunks, noise):
    payload = b"".join(frame(*item) for item in frames)
    stream = engine(2, noise)
    for piece in cut(payload, pieces):
        stream += engine(1, piece) + engine(1, b"") + engine(2, noise)
    found, diagnostics = read(cut(stream, chunks))
    assert found == frames
    assert diagnostics == (noise * (1 + len(list(cut(payload, pieces)))))[:MAX_DIAGNOSTICS]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_garbage_is_a_protocol_error_or_nothing(chunks):
    parser = FrameParser()
    try:
        for chunk in chunks:
            for kind, payload in parser.feed(chunk):
                assert kind in GUEST_KINDS
                assert len(payload) <= MAX_GUEST_FRAME
    except ProtocolError:
        return


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_garbage_from_the_engine_never_raises_anything_else(chunks):
    try:
        read(chunks)
    except ProtocolError:
        return


@pytest.mark.parametrize("kind", [b"J", b"D", b"K", b"\x00", b"\xff", b"Q"])
def test_a_kind_that_no_guest_sends_is_refused_at_once(kind):
    with pytest.raises(ProtocolError):
        list(FrameParser().feed(HEADER.pack(kind, 0)))


@pytest.mark.parametrize("length", [MAX_GUEST_FRAME + 1, 2**31, 2**32 - 1])
def test_a_frame_over_the_cap_is_refused_by_its_header(length):
    with pytest.raises(ProtocolError):
        list(FrameParser().feed(HEADER.pack(b"O", length)))


def test_a_frame_of_the_cap_is_taken():
    payload = b"x" * MAX_GUEST_FRAME
    assert list(FrameParser().feed(frame(b"O", payload))) == [(b"O", payload)]


def test_a_frame_without_its_end_yields_nothing():
    parser = FrameParser()
    assert list(parser.feed(frame(b"O", b"abc")[:-1])) == []
    assert list(parser.feed(b"c")) == [(b"O", b"abc")]


def test_what_the_supervisor_says_on_stderr_is_kept_in_part():
    demultiplexer = Demultiplexer()
    for _ in range(100):
        assert list(demultiplexer.feed(engine(2, b"e" * 1000))) == []
    assert bytes(demultiplexer.diagnostics) == b"e" * MAX_DIAGNOSTICS


def test_an_endless_stream_takes_no_more_memory_than_a_frame():
    demultiplexer, parser = Demultiplexer(), FrameParser()
    data = frame(b"O", b"x" * MAX_GUEST_FRAME)
    chunks = list(cut(engine(1, data) + engine(2, data) + engine(7, data), [4096]))
    tracemalloc.start()
    try:
        for _ in range(100):
            for chunk in chunks:
                for piece in demultiplexer.feed(chunk):
                    for _frame in parser.feed(piece):
                        pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * MAX_GUEST_FRAME
