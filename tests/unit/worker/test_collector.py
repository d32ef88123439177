"""A guest that lies: what it sends is bounded again, whatever it claims."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.collector import Collector, StreamKeeper
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest import protocol
from worker.sandbox.report import ExitReport, parse

KINDS = sorted(protocol.GUEST_KINDS)


@pytest.fixture
def collector(make_spec):
    return Collector(
        make_spec(
            max_output_bytes=1024,
            max_artifacts=3,
            max_artifact_bytes=1024,
            max_artifacts_bytes=2048,
        )
    )


def artifact(path="a", size=0):
    return json.dumps({"path": path, "size": size}).encode()


# --- Streams ---------------------------------------------------------------------------------


@given(
    st.integers(0, 60),
    st.lists(st.binary(max_size=30), max_size=6),
    st.lists(st.binary(max_size=30), max_size=6),
    st.none() | st.integers(-(2**62), 2**62),
)
def test_kept_bytes_are_bounded_and_the_total_is_never_less(limit, heads, tails, reported):
    keeper = StreamKeeper(limit)
    for data in heads:
        keeper.head(data)
    for data in tails:
        keeper.tail(data)
    captured = keeper.captured(reported)
    head, tail = b"".join(heads)[:limit], b"".join(tails)
    tail = tail[: limit - len(head)]
    assert captured.total_bytes == max(reported or 0, len(head + tail))
    assert captured.truncated == (captured.total_bytes > len(head + tail))
    assert captured.kept.startswith(head)
    assert captured.kept.endswith(tail)
    if not captured.truncated:
        assert captured.kept == head + tail
    else:
        gap = captured.kept[len(head) : len(captured.kept) - len(tail)].decode()
        assert str(captured.total_bytes - len(head + tail)) in gap
        assert len(gap) < 60


def test_a_stream_says_what_was_left_out_between_head_and_tail():
    keeper = StreamKeeper(10)
    keeper.head(b"first")
    keeper.tail(b"last!")
    assert keeper.captured(110).kept == b"first\n[... 100 bytes left out ...]\nlast!"


# --- Reports ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", b"[]", b"1", b"null", b'"a"', b"\xff", b"{", b"[" * 60_000, b'{"a":' * 9 + b"{}",
     b'{"a":' + b"9" * 5000 + b"}"],
    ids=str,
)  # fmt: skip
def test_a_report_that_is_no_shallow_object_is_refused(payload):
    with pytest.raises(ProtocolError):
        parse(ExitReport, payload)


@given(st.binary(max_size=100))
def test_a_report_of_garbage_is_refused_in_the_proper_way(payload):
    try:
        parse(ExitReport, payload)
    except ProtocolError:
        return


# --- Frames ----------------------------------------------------------------------------------


def test_streams_go_to_their_own_keepers(collector):
    collector.take(protocol.STDOUT, b"out")
    collector.take(protocol.STDERR, b"err")
    collector.take(protocol.STDOUT_TAIL, b"put")
    assert collector.stdout.captured(None).kept == b"output"
    assert collector.stderr.captured(None).kept == b"err"


def test_start_and_end_are_noted(collector):
    assert not collector.started
    assert collector.exit is None
    collector.take(protocol.STARTED, b"")
    collector.take(protocol.EXIT, b'{"exit_code": 3}')
    assert collector.started
    assert collector.exit == ExitReport(exit_code=3)


@pytest.mark.parametrize("kind", [protocol.REPORT, protocol.JOB, protocol.DATA, protocol.KILL])
def test_a_frame_out_of_place_is_refused(collector, kind):
    with pytest.raises(ProtocolError):
        collector.take(kind, b"{}")


def test_an_artifact_arrives_in_pieces(collector):
    collector.take(protocol.ARTIFACT, artifact("a/b", 4))
    collector.take(protocol.CONTENT, b"ab")
    collector.take(protocol.CONTENT, b"cd")
    collector.take(protocol.ARTIFACT, artifact("empty", 0))
    found = [(item.path, item.content) for item in collector.artifacts]
    assert found == [("a/b", b"abcd"), ("empty", b"")]


def test_an_artifact_that_did_not_arrive_whole_is_dropped(collector):
    collector.take(protocol.ARTIFACT, artifact("a", 4))
    collector.take(protocol.CONTENT, b"abc")
    assert collector.artifacts == ()


def test_more_content_than_announced_is_refused(collector):
    collector.take(protocol.ARTIFACT, artifact("a", 2))
    with pytest.raises(ProtocolError):
        collector.take(protocol.CONTENT, b"abc")


def test_content_without_an_artifact_is_refused(collector):
    with pytest.raises(ProtocolError):
        collector.take(protocol.CONTENT, b"")


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\x00", "a\nb", "\ud800",
     "a\u202eb", "a\x7f", "é" * 128, "a" * 256, 1, None, ["a"], {"a": 1}],
)  # fmt: skip
def test_an_artifact_with_an_unsafe_path_is_refused(collector, path):
    with pytest.raises(ProtocolError):
        collector.take(protocol.ARTIFACT, artifact(path, 0))


@pytest.mark.parametrize("size", [-1, 1025, 10**30, 1.0, "1", None, [1], -(10**30)])
def test_an_artifact_of_an_unlikely_size_is_refused(collector, size):
    with pytest.raises(ProtocolError):
        collector.take(protocol.ARTIFACT, artifact("a", size))


def test_artifacts_are_capped_in_number(collector):
    for name in "abc":
        collector.take(protocol.ARTIFACT, artifact(name, 0))
    with pytest.raises(ProtocolError):
        collector.take(protocol.ARTIFACT, artifact("d", 0))


def test_artifacts_are_capped_together(collector):
    for name in "ab":
        collector.take(protocol.ARTIFACT, artifact(name, 1024))
    with pytest.raises(ProtocolError):
        collector.take(protocol.ARTIFACT, artifact("c", 1))


def test_a_path_comes_once(collector):
    # Two of one path would break the row's primary key, and with it the whole outcome.
    try:
        for content in (b"1", b"2"):
            collector.take(protocol.ARTIFACT, artifact("a", 1))
            collector.take(protocol.CONTENT, content)
    except ProtocolError:
        return
    paths = [item.path for item in collector.artifacts]
    assert len(paths) == len(set(paths))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.one_of(
                st.binary(max_size=60),
                st.builds(artifact, st.text(max_size=5), st.integers(-2, 2000)),
                st.just(b'{"exit_code": 0}'),
            ),
        ),
        max_size=12,
    )
)
def test_any_sequence_of_frames_stays_within_the_caps(make_spec, frames):
    collector = Collector(
        make_spec(
            max_output_bytes=1024,
            max_artifacts=3,
            max_artifact_bytes=1024,
            max_artifacts_bytes=1024,
        )
    )
    try:
        for kind, payload in frames:
            collector.take(kind, payload)
    except ProtocolError:
        pass
    assert len(collector.artifacts) <= 3
    assert sum(len(item.content) for item in collector.artifacts) <= 1024
