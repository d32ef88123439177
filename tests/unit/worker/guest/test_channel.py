"""Frames over pipes: whole, in order, and an end that is noticed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.guest import protocol
from worker.sandbox.guest.channel import Channel, ChannelClosedError


def test_frames_are_read_back_as_they_were_sent(wire):
    wire.channel.send(protocol.STARTED)
    wire.channel.send(protocol.STDOUT, b"\x00\xff")
    wire.channel.send_json(protocol.EXIT, {"é": "\ud800"})
    assert wire.frames() == [
        (protocol.STARTED, b""),
        (protocol.STDOUT, b"\x00\xff"),
        (protocol.EXIT, b'{"\\u00e9": "\\ud800"}'),
    ]


def test_long_data_is_cut_into_frames_under_the_cap(wire):
    data = os.urandom(3 * protocol.MAX_GUEST_FRAME + 1)
    wire.channel.send_bytes(protocol.CONTENT, data)
    frames = wire.frames()
    assert [len(payload) for _, payload in frames] == [protocol.MAX_GUEST_FRAME] * 3 + [1]
    assert b"".join(payload for _, payload in frames) == data


def test_no_data_is_no_frame(wire):
    wire.channel.send_bytes(protocol.STDOUT, b"")
    assert wire.frames() == []


def test_a_frame_that_arrives_in_pieces_is_put_together(wire):
    payload = os.urandom(500_000)
    writer = wire.to_guest(protocol.frame(protocol.JOB, b"{}") + protocol.frame(b"D", payload))
    assert wire.channel.receive() == (protocol.JOB, b"{}")
    assert wire.channel.receive() == (protocol.DATA, payload)
    with pytest.raises(ChannelClosedError):
        wire.channel.receive()
    writer.join()


@pytest.mark.parametrize("data", [b"", b"J", b"J\x00\x00\x00", b"J\x00\x00\x00\x05abc"])
def test_input_that_ends_early_is_the_end(wire, data):
    writer = wire.to_guest(data)
    with pytest.raises(ChannelClosedError):
        wire.channel.receive()
    writer.join()


def test_a_frame_over_the_cap_is_the_end(wire):
    writer = wire.to_guest(protocol.HEADER.pack(b"J", protocol.MAX_HOST_FRAME + 1))
    with pytest.raises(ChannelClosedError):
        wire.channel.receive()
    writer.join()


def test_a_worker_that_has_gone_is_noticed_when_writing():
    read, write = os.pipe()
    unread, unused = os.pipe()
    os.close(read)
    try:
        with pytest.raises(ChannelClosedError):
            Channel(unread, write).send(protocol.STARTED)
    finally:
        for descriptor in (write, unread, unused):
            os.close(descriptor)


@given(st.sampled_from(sorted(protocol.GUEST_KINDS)), st.binary(max_size=100))
def test_a_frame_is_its_header_and_its_payload(kind, payload):
    data = protocol.frame(kind, payload)
    assert protocol.HEADER.unpack_from(data) == (kind, len(payload))
    assert data[protocol.HEADER.size :] == payload


def test_both_sides_may_say_different_things():
    host = {protocol.INSPECT, protocol.JOB, protocol.DATA, protocol.KILL}
    assert not host & protocol.GUEST_KINDS
    assert len(protocol.GUEST_KINDS) == 11
