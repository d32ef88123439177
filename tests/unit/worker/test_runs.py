"""Runs of a batch out of a guest that lies: in order, within caps, and passed on in chunks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.status import Reason, Status
from worker.sandbox import judge, runs
from worker.sandbox.collector import Collector
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest import protocol
from worker.sandbox.guest.capture import Kept

LIMIT = 100  # bytes kept of each stream of one run
INPUTS = 5


@pytest.fixture
def passed_on():
    return []


@pytest.fixture
def clock(monkeypatch):
    """Stands still; a test moves it."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(runs.time, "monotonic", lambda: Clock.now)
    return Clock


def batch(make_spec, on_results, inputs=INPUTS):
    body = {"source": "x", "inputs": ["x"] * inputs, "input_max_output_bytes": LIMIT}
    return Collector(make_spec(body), on_results)


@pytest.fixture
def collector(make_spec, passed_on, clock):
    return batch(make_spec, lambda results: passed_on.append(list(results)))


def payload(index, parts=(b"", b"", b"", b""), result=None, **report):
    """Return what the guest says of a run, before it is cut into frames."""
    report = {
        "index": index,
        "sizes": [len(part) for part in parts],
        "result_bytes": None if result is None else len(result),
        **report,
    }
    head = json.dumps(report).encode()
    return protocol.RUN_HEAD.pack(len(head)) + head + b"".join(parts) + (result or b"")


def take(collector, data, cut=protocol.MAX_GUEST_FRAME):
    collector.take(protocol.RUN, data[:cut])
    for start in range(cut, len(data), cut):
        collector.take(protocol.REST, data[start : start + cut])


def ended(collector, passed_on):
    collector.flush()
    return [result for chunk in passed_on for result in chunk]


# --- What one run says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "status", "reason"),
    [
        ({"exit_code": 0}, Status.SUCCEEDED, None),
        ({"exit_code": 3}, Status.FAILED, Reason.EXIT_NONZERO),
        ({"signal": 11}, Status.FAILED, Reason.SIGNAL),
        ({"signal": 9, "oom_kills": 1}, Status.FAILED, Reason.OOM_KILLED),
        ({"signal": 9, "killed": "time_limit"}, Status.TIMED_OUT, Reason.TIME_LIMIT),
        ({"signal": 9, "killed": "output_limit"}, Status.FAILED, Reason.OUTPUT_LIMIT),
        ({"exit_code": 127, "exec_error": "no"}, Status.FAILED, Reason.COMMAND_NOT_FOUND),
        ({"setup_error": "full"}, Status.FAILED, Reason.SANDBOX_ERROR),
        ({"exit_code": 1, "policy_violation": "no"}, Status.FAILED, Reason.POLICY_VIOLATION),
        ({"exit_code": 0, "result": b"{"}, Status.FAILED, Reason.RESULT_INVALID),
        ({"exit_code": 2, "result": b"{"}, Status.FAILED, Reason.EXIT_NONZERO),
        ({"exit_code": 0, "result": b"1" * (judge.MAX_RESULT_BYTES + 1)}, Status.FAILED,
         Reason.RESULT_INVALID),
    ],
    ids=str,
)  # fmt: skip
def test_a_run_is_judged_as_a_program_on_its_own(collector, passed_on, report, status, reason):
    take(collector, payload(0, **report))
    (result,) = ended(collector, passed_on)
    assert (result.status, result.reason) == (status, reason)
    assert (result.exit_code, result.signal) == (report.get("exit_code"), report.get("signal"))
    assert collector.runs.counts["inputs"] == INPUTS
    assert collector.runs.counts[status.value] == 1


def test_a_run_has_its_own_output_and_result(collector, passed_on):
    parts = (b"he", b"ad", b"er", b"r")
    take(collector, payload(0, parts, b'{"a": 1}', exit_code=0, stdout_bytes=4, stderr_bytes=30))
    (result,) = ended(collector, passed_on)
    assert (result.stdout.kept, result.stdout.truncated) == (b"head", False)
    assert result.stderr.kept == b"er\n[... 27 bytes left out ...]\nr"
    assert result.stderr.total_bytes == 30
    assert result.result == '{"a": 1}'


@pytest.mark.parametrize("cut", [1, 7, 64, 500])
def test_a_run_may_come_in_many_frames(collector, passed_on, cut):
    said = payload(0, (b"a" * 90, b"b" * 10, b"", b"c"), b"[" + b" " * 200 + b"]", exit_code=0)
    head = said.index(b"}") + 1
    collector.take(protocol.RUN, said[:head])
    for start in range(head, len(said), cut):
        collector.take(protocol.REST, said[start : start + cut])
    (result,) = ended(collector, passed_on)
    assert result.stdout.kept == b"a" * 90 + b"b" * 10
    assert result.result == "[]"


@given(st.lists(st.binary(max_size=60), max_size=5), st.integers(1, LIMIT))
def test_what_the_guest_keeps_is_what_the_worker_tells(make_spec, chunks, limit):
    kept, results = Kept(limit), []
    for chunk in chunks:
        kept.out.feed(chunk)
    collector = batch(make_spec, results.extend)
    take(collector, payload(0, kept.finish(), exit_code=0, stdout_bytes=kept.out.total))
    collector.flush()
    written = b"".join(chunks)
    assert results[0].stdout.total_bytes == len(written)
    assert results[0].stdout.truncated == (len(written) > limit)
    if not results[0].stdout.truncated:
        assert results[0].stdout.kept == written


# --- Lies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x00\x00",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff{}",
        payload(1),
        payload(-1),
        payload(INPUTS),
        payload(0, killed="cancel"),
        payload(0, exit_code=256),
        payload(0, sizes=[1, 1, 1]),
        payload(0, sizes=[0, 0, 0, 0, 0]),
        payload(0, sizes=[-1, 0, 0, 0]),
        payload(0, sizes=[2**60, 0, 0, 0]),
        payload(0, sizes=None),
        payload(0, (b"x" * (LIMIT + 1), b"", b"", b"")),
        payload(0, (b"x" * LIMIT, b"x", b"", b"")),
        payload(0, (b"", b"", b"", b"x" * (LIMIT + 1))),
        payload(0, result_bytes=runs.MOST_RESULT + 1),
        payload(0, result_bytes=-1),
        payload(0) + b"more",
    ],
)
def test_a_run_that_makes_no_sense_is_refused(collector, passed_on, said):
    with pytest.raises(ProtocolError):
        collector.take(protocol.RUN, said)
    assert ended(collector, passed_on) == []


def test_runs_come_in_the_order_of_their_inputs_and_once(collector):
    take(collector, payload(0))
    for wrong in (0, 2):
        with pytest.raises(ProtocolError):
            take(collector, payload(wrong))
    for index in range(1, INPUTS):
        take(collector, payload(index))
    assert collector.runs.are_complete
    with pytest.raises(ProtocolError):
        take(collector, payload(INPUTS))


def test_a_run_within_a_run_and_bytes_without_one_are_refused(collector):
    with pytest.raises(ProtocolError):
        collector.take(protocol.REST, b"x")
    collector.take(protocol.RUN, payload(0, sizes=[2, 0, 0, 0]))
    with pytest.raises(ProtocolError):
        collector.take(protocol.RUN, payload(1))
    with pytest.raises(ProtocolError):
        collector.take(protocol.REST, b"xxx")
    assert not collector.runs.are_complete


@pytest.mark.parametrize("kind", [protocol.STDOUT, protocol.STDERR, protocol.STDOUT_TAIL])
def test_a_batch_has_no_output_of_its_own(collector, kind):
    with pytest.raises(ProtocolError):
        collector.take(kind, b"x")


@pytest.mark.parametrize("kind", [protocol.RUN, protocol.REST])
def test_what_is_no_batch_has_no_runs(make_spec, kind):
    with pytest.raises(ProtocolError):
        Collector(make_spec()).take(kind, payload(0))


# --- Chunks ----------------------------------------------------------------------------------


def test_runs_wait_for_others_for_a_moment(collector, passed_on, clock):
    assert collector.due == float("inf")
    take(collector, payload(0))
    clock.now += runs.CHUNK_SECONDS - 0.01
    take(collector, payload(1))
    collector.pass_on()
    assert passed_on == []
    assert collector.due == pytest.approx(clock.now + 0.01)
    clock.now += 0.01
    collector.pass_on()
    assert [result.index for result in passed_on[0]] == [0, 1]
    assert collector.due == float("inf")
    clock.now += 60
    take(collector, payload(2))
    assert [result.index for result in passed_on[1]] == [2]
    collector.flush()
    assert len(passed_on) == 2


def test_many_runs_do_not_wait(make_spec, passed_on, clock):
    collector = batch(make_spec, passed_on.append, inputs=runs.CHUNK + 1)
    for index in range(runs.CHUNK + 1):
        take(collector, payload(index))
    assert [len(chunk) for chunk in passed_on] == [runs.CHUNK]


def test_large_runs_do_not_wait(make_spec, passed_on, clock):
    large = b'"' + b"x" * 262_000 + b'"'
    collector = batch(make_spec, passed_on.append)
    for index in range(INPUTS):
        take(collector, payload(index, result=large, exit_code=0))
    assert [len(chunk) for chunk in passed_on] == [runs.CHUNK_BYTES // len(large) + 1]


def test_what_the_receiver_raises_reaches_the_conversation(make_spec, clock):
    def refuse(_):
        raise KeyError("no longer ours")

    collector = batch(make_spec, refuse)
    take(collector, payload(0))
    with pytest.raises(KeyError):
        collector.flush()


# --- The batch as a whole --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs_told", "report", "ended_by_us", "status", "reason"),
    [
        (5, {}, None, Status.SUCCEEDED, None),
        (5, {"oom_kills": 3}, None, Status.SUCCEEDED, None),
        (5, {}, judge.TIME_LIMIT, Status.SUCCEEDED, None),
        (4, {}, None, Status.FAILED, Reason.SANDBOX_ERROR),
        (2, {"killed": "time_limit"}, judge.TIME_LIMIT, Status.TIMED_OUT, Reason.TIME_LIMIT),
        (2, {"killed": "cancel"}, judge.CANCEL, Status.CANCELLED, Reason.CANCEL_REQUESTED),
        (2, None, judge.TIME_LIMIT, Status.TIMED_OUT, Reason.TIME_LIMIT),
        (2, None, None, Status.FAILED, Reason.SANDBOX_ERROR),
        (0, {"setup_error": "full"}, None, Status.FAILED, Reason.SANDBOX_ERROR),
    ],
    ids=str,
)
def test_a_batch_that_ran_through_succeeded_whatever_its_runs_did(
    collector, runs_told, report, ended_by_us, status, reason
):
    for index in range(runs_told):
        take(collector, payload(index, exit_code=0 if index % 2 else 1))
    if report is not None:
        collector.take(protocol.EXIT, json.dumps(report).encode())
    outcome = judge.judge(collector, ended_by_us=ended_by_us, isolation={})
    assert (outcome.status, outcome.reason) == (status, reason)
    assert outcome.batch == {
        "inputs": INPUTS,
        "succeeded": runs_told // 2,
        "failed": runs_told - runs_told // 2,
        "timed_out": 0,
    }
    assert outcome.stdout.kept == outcome.stderr.kept == b""
    assert (outcome.exit_code, outcome.signal, outcome.result) == (None, None, None)
