"""From a sandbox's report to one outcome; a report may hold anything that JSON can."""

import json
import signal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.sandbox import ArtifactContent
from models.status import Reason, Status
from tests.unit.storable import INT8_MAX, assert_integer, assert_jsonb, assert_text
from worker.sandbox import judge
from worker.sandbox.collector import Collector
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest import protocol


@pytest.fixture(scope="module")
def run(make_spec):
    """Return a function from a report to the outcome."""
    spec = make_spec()

    def outcome(report=None, *, ended_by_us=None, oom=False, result=None):
        collector = Collector(spec)
        if result is not None:
            head = json.dumps({"path": judge.RESULT_PATH, "size": len(result)}).encode()
            collector.take(protocol.ARTIFACT, head)
            collector.take(protocol.CONTENT, result)
        if report is not None:
            collector.take(protocol.EXIT, json.dumps(report).encode())
        outcome = judge.judge(collector, ended_by_us=ended_by_us, isolation={})
        unexplained = report is None and ended_by_us is None
        return judge.out_of_memory(outcome) if unexplained and oom else outcome

    return outcome


def assert_storable(outcome):
    assert_integer(outcome.exit_code)
    assert_integer(outcome.signal)
    for stream in (outcome.stdout, outcome.stderr):
        assert_integer(stream.total_bytes, INT8_MAX)
    assert_text(outcome.message)
    assert_text(outcome.result)
    assert_jsonb(list(outcome.warnings))
    assert_jsonb(outcome.usage)


@pytest.mark.parametrize(
    ("report", "status", "reason"),
    [
        ({"exit_code": 0}, Status.SUCCEEDED, None),
        ({"exit_code": 3}, Status.FAILED, Reason.EXIT_NONZERO),
        ({"signal": 11}, Status.FAILED, Reason.SIGNAL),
        ({"signal": 9}, Status.FAILED, Reason.SIGNAL),
        ({"signal": 9, "oom_kills": 1}, Status.FAILED, Reason.OOM_KILLED),
        ({"signal": 11, "oom_kills": 1}, Status.FAILED, Reason.SIGNAL),
        ({"exit_code": 0, "oom_kills": 1}, Status.SUCCEEDED, None),
        ({"setup_error": "No space left"}, Status.FAILED, Reason.SANDBOX_ERROR),
        ({"exit_code": 127, "exec_error": "No"}, Status.FAILED, Reason.COMMAND_NOT_FOUND),
        ({"exit_code": 1, "policy_violation": "x"}, Status.REJECTED, Reason.POLICY_VIOLATION),
        ({"exit_code": 0, "policy_violation": "x"}, Status.SUCCEEDED, None),
        (
            {"signal": 9, "killed": "time_limit", "policy_violation": "x"},
            Status.TIMED_OUT,
            Reason.TIME_LIMIT,
        ),
        ({"signal": 9, "killed": "time_limit"}, Status.TIMED_OUT, Reason.TIME_LIMIT),
        ({"signal": 9, "killed": "cancel"}, Status.CANCELLED, Reason.CANCEL_REQUESTED),
        ({"signal": 9, "killed": "output_limit"}, Status.FAILED, Reason.OUTPUT_LIMIT),
    ],
)
def test_a_report_has_one_verdict(run, report, status, reason):
    outcome = run(report)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert (outcome.message is None) == (status is Status.SUCCEEDED)


@pytest.mark.parametrize(
    ("ended_by_us", "oom", "status", "reason"),
    [
        (None, False, Status.FAILED, Reason.SANDBOX_ERROR),
        (None, True, Status.FAILED, Reason.OOM_KILLED),
        (judge.TIME_LIMIT, False, Status.TIMED_OUT, Reason.TIME_LIMIT),
        (judge.TIME_LIMIT, True, Status.TIMED_OUT, Reason.TIME_LIMIT),
        (judge.CANCEL, False, Status.CANCELLED, Reason.CANCEL_REQUESTED),
    ],
)
def test_without_a_report_what_we_know_from_outside_decides(run, ended_by_us, oom, status, reason):
    outcome = run(None, ended_by_us=ended_by_us, oom=oom)
    assert (outcome.status, outcome.reason) == (status, reason)


def test_a_program_that_ended_before_our_signal_ended_by_itself(run):
    assert run({"exit_code": 0}, ended_by_us=judge.TIME_LIMIT).status is Status.SUCCEEDED


def test_a_refusal_is_told_in_bounded_printable_words_and_named_a_policy(run):
    message = run({"exit_code": 1, "policy_violation": "line 1:\n\x1b[2J" + "x" * 5000}).message
    assert message.startswith(
        "refused by RestrictedPython, a policy and no security boundary: line 1:??[2Jxxx"
    )
    assert len(message) < 2100


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV, 33, 63])
def test_a_signal_is_told_by_name_where_it_has_one(run, number):
    message = run({"signal": int(number)}).message
    assert message is not None
    assert ("SIG" in message) or (str(int(number)) in message)


def test_a_process_ended_for_memory_is_worth_a_warning(run):
    assert "memory" in run({"exit_code": 0, "oom_kills": 2}).warnings[0]


def test_warnings_are_bounded_in_number_and_length(run):
    skipped = [{"path": "p" * 1000, "why": "w" * 1000}] * 20
    outcome = run({"exit_code": 0, "skipped": skipped, "skipped_count": 900})
    assert len(outcome.warnings) == 21
    assert all(len(text) <= 850 for text in outcome.warnings)
    assert "880 more" in outcome.warnings[-1]
    with pytest.raises(ProtocolError):
        run({"exit_code": 0, "skipped": skipped * 2})


# --- The result file -------------------------------------------------------------------------


def test_a_result_is_kept_as_json(run):
    outcome = run({"exit_code": 0}, result='{"é": [1, 2.5, null]}'.encode())
    assert json.loads(outcome.result) == {"é": [1, 2.5, None]}


def test_a_result_is_kept_of_a_program_that_exits_with_an_error(run):
    assert run({"exit_code": 1}, result=b"1").result == "1"
    assert run({"exit_code": 1}, result=b"{").reason is Reason.EXIT_NONZERO


def test_a_result_is_not_kept_of_a_program_that_we_ended(run):
    assert run({"signal": 9, "killed": "cancel"}, result=b"1").result is None


def deep(depth):
    return b"[" * depth + b"]" * depth


BAD_RESULTS = [
    b"", b"{", b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b'"\\ud800"', b'{"\\udc00": 1}',
    b"\xff", b"9" * 5000, b"1 2", b"{'a': 1}", deep(judge.MAX_RESULT_DEPTH + 1), deep(100_000),
    b'"' + b"x" * judge.MAX_RESULT_BYTES + b'"',
]  # fmt: skip


@pytest.mark.parametrize("content", BAD_RESULTS, ids=lambda content: repr(content[:20]))
def test_a_result_that_is_no_proper_json_fails_the_execution(run, content):
    outcome = run({"exit_code": 0}, result=content)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.RESULT_INVALID)
    assert outcome.result is None
    assert judge.RESULT_PATH in outcome.message


@pytest.mark.parametrize(
    "content", [b"null", b"0", b'""', deep(judge.MAX_RESULT_DEPTH), b'"\\u0000"']
)
def test_a_result_at_the_edge_is_kept(run, content):
    outcome = run({"exit_code": 0}, result=content)
    assert outcome.status is Status.SUCCEEDED
    assert json.loads(outcome.result) == json.loads(content)
    assert_text(outcome.result)


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: json.dumps(text).encode()))
def test_any_result_is_text_of_json_or_a_reason(content):
    text, problem = judge.parse_result(content)
    assert (text is None) != (problem is None)
    if text is not None:
        assert_text(text)
        assert json.loads(text) == json.loads(content)


# --- Reports that lie ------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=10)
    | st.sampled_from([10**400, 2**31, -(2**31) - 1, 2**62, "\x00", "\ud800", "time_limit", 9]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["path", "why", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
REPORT_FIELDS = [
    "exit_code", "signal", "exec_error", "setup_error", "killed", "oom_kills", "wall_seconds",
    "cpu_seconds", "peak_memory_bytes", "stdout_bytes", "stderr_bytes", "skipped", "skipped_count",
    "policy_violation",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(REPORT_FIELDS), values, max_size=5))
@example({"exit_code": 2**40})
@example({"wall_seconds": 10**400})
def test_whatever_a_report_says_the_outcome_can_be_recorded(run, report):
    try:
        outcome = run(report)
    except ProtocolError:
        return
    assert_storable(outcome)


@pytest.mark.parametrize(
    "report",
    [
        {"exit_code": 2**31},
        {"exit_code": True},
        {"signal": 2**40},
        {"wall_seconds": float("inf")},
        pytest.param({"wall_seconds": 10**400}, id="wall_seconds of 401 digits"),
        {"cpu_seconds": float("nan")},
        {"peak_memory_bytes": True},
        {"setup_error": "a\x00"},
        {"setup_error": "\ud800"},
        {"exec_error": "a\x00"},
        {"exec_error": ["\ud800"]},
        {"killed": []},
        {"killed": {"a": 1}},
        {"skipped": 5},
        {"skipped": [{"path": "\x00\ud800", "why": "\x00\ud800"}]},
        {"stdout_bytes": -1},
        {"stdout_bytes": 2**61},
    ],
    ids=str,
)
def test_a_lie_in_a_report_never_keeps_the_outcome_from_being_recorded(run, report):
    # The backend judges a report that it refuses as none.
    try:
        outcome = run(report)
    except ProtocolError:
        outcome = run()
    assert_storable(outcome)


def test_the_artifacts_are_part_of_the_outcome(run):
    assert run({"exit_code": 0}, result=b"1").artifacts == (
        ArtifactContent(path="result.json", content=b"1"),
    )
