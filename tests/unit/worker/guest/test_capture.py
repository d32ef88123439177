"""Output is capped while it is read: head and tail are the real ones, the total is the truth."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.collector import StreamKeeper
from worker.sandbox.guest import protocol
from worker.sandbox.guest.capture import Capture


class Recorder:
    """Takes the place of the channel; frames in memory."""

    def __init__(self):
        self.frames = []

    def send_bytes(self, kind, data):
        self.frames.append((kind, bytes(data)))

    def sent(self, kind):
        return b"".join(payload for found, payload in self.frames if found == kind)


def captured(chunks, limit):
    recorder = Recorder()
    capture = Capture(recorder, protocol.STDOUT, protocol.STDOUT_TAIL, limit)
    for chunk in chunks:
        capture.feed(chunk)
    capture.finish()
    return capture, recorder


# Numbered bytes, so that a piece taken from the wrong place is seen.
chunk_lists = st.lists(st.integers(0, 40), max_size=20).map(
    lambda sizes: [
        bytes((sum(sizes[:index]) + at) % 251 for at in range(size))
        for index, size in enumerate(sizes)
    ]
)


@given(chunk_lists, st.integers(0, 60))
def test_head_and_tail_are_a_real_prefix_and_suffix(chunks, limit):
    capture, recorder = captured(chunks, limit)
    data = b"".join(chunks)
    head, tail = recorder.sent(protocol.STDOUT), recorder.sent(protocol.STDOUT_TAIL)
    assert capture.total == len(data)
    assert len(head) + len(tail) == min(limit, len(data))
    assert data.startswith(head)
    assert data.endswith(tail)
    if len(data) <= limit:
        assert head + tail == data


@given(chunk_lists, st.integers(0, 60))
def test_the_worker_keeps_what_the_guest_sends(chunks, limit):
    capture, recorder = captured(chunks, limit)
    keeper = StreamKeeper(limit)
    for kind, payload in recorder.frames:
        (keeper.head if kind == protocol.STDOUT else keeper.tail)(payload)
    kept = keeper.captured(capture.total)
    data = b"".join(chunks)
    assert kept.total_bytes == len(data)
    assert kept.truncated == (len(data) > limit)
    if not kept.truncated:
        assert kept.kept == data


def test_the_head_goes_out_at_once():
    recorder = Recorder()
    Capture(recorder, protocol.STDERR, protocol.STDERR_TAIL, 100).feed(b"now")
    assert recorder.frames == [(protocol.STDERR, b"now")]


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_the_smallest_limits_hold(limit):
    capture, recorder = captured([b"abcdef", b"ghi"], limit)
    assert capture.total == 9
    assert len(recorder.sent(protocol.STDOUT)) == limit - limit // 2
    assert recorder.sent(protocol.STDOUT_TAIL) == b"abcdefghi"[9 - limit // 2 :]


def test_endless_output_takes_no_more_memory_than_the_limit():
    limit, chunk = 262_144, b"x" * 65_536
    capture = Capture(Recorder(), protocol.STDOUT, protocol.STDOUT_TAIL, limit)
    tracemalloc.start()
    try:
        for _ in range(2_000):
            capture.feed(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert capture.total == 2_000 * len(chunk)
    assert peak < 4 * limit
