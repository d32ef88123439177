"""A batch's job as the supervisor reads it, and as it is sent."""

import json

import pytest

from worker.sandbox import conversation
from worker.sandbox.conversation import encode_job, send_job
from worker.sandbox.guest import protocol
from worker.sandbox.guest.files import place_files, read_inputs

INPUTS = ["first", "", "zweites ü", "x" * 60_000, "last"]


class Sent:
    """Takes the place of the connection."""

    def __init__(self):
        self.pieces = []

    def send(self, data, _deadline):
        self.pieces.append(data)


class Channel:
    """Takes the place of the guest's channel: what was sent, frame by frame."""

    def __init__(self, data):
        self.data = data

    def receive(self):
        kind, length = protocol.HEADER.unpack_from(self.data)
        end = protocol.HEADER.size + length
        payload, self.data = self.data[protocol.HEADER.size : end], self.data[end:]
        return kind, payload


def test_the_guest_reads_the_inputs_that_were_given(make_spec, tmp_path, monkeypatch):
    monkeypatch.setattr("worker.sandbox.guest.files.WORKSPACE", str(tmp_path))
    limits = {"input_timeout_seconds": 2.5, "input_max_output_bytes": 77}
    channel = Channel(encode_job(make_spec({"source": "s", "inputs": INPUTS, **limits})))
    kind, payload = channel.receive()
    batch = json.loads(payload)["batch"]
    assert kind == protocol.JOB
    assert place_files(channel, json.loads(payload)) == b""
    assert (tmp_path / "main.py").read_bytes() == b"s"
    inputs = read_inputs(channel, batch["inputs"])
    assert channel.data == b""
    assert inputs == "".join(INPUTS).encode()
    assert batch["inputs"] == [len(text.encode()) for text in INPUTS]
    assert (batch["timeout_seconds"], batch["max_output_bytes"]) == (2.5, 77)


def test_what_is_no_batch_says_nothing_of_one(make_spec):
    _, payload = Channel(encode_job(make_spec())).receive()
    assert "batch" not in json.loads(payload)


@pytest.mark.parametrize("size", [1, 1000, 60_000])
def test_inputs_are_sent_in_pieces_and_never_put_together(make_spec, size):
    count = min(10_000, 4_000_000 // size)
    spec = make_spec({"source": "s", "inputs": ["x" * size] * count})
    sent = Sent()
    send_job(spec, sent)
    assert b"".join(sent.pieces) == encode_job(spec)
    assert max(map(len, sent.pieces)) < conversation.INPUTS_PIECE + size + 100_000
