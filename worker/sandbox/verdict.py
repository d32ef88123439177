"""How a program's run ended, by what the supervisor told of it."""

import json
import signal
from typing import NamedTuple

from models.status import Reason, Status
from models.types import json_depth
from worker.sandbox.guest.protocol import POLICY_REFUSED
from worker.sandbox.report import EndReport

RESULT_PATH = "result.json"
MAX_RESULT_BYTES = 262_144  # of output/result.json
MAX_RESULT_DEPTH = 32  # nested arrays and objects

CANCEL = "cancel"
TIME_LIMIT = "time_limit"
OUTPUT_LIMIT = "output_limit"


class Verdict(NamedTuple):
    """A status, its reason, and the same in a sentence."""

    status: Status
    reason: Reason | None = None
    message: str | None = None


_BY_US = {
    CANCEL: Verdict(Status.CANCELLED, Reason.CANCEL_REQUESTED, "cancelled on request"),
    TIME_LIMIT: Verdict(Status.TIMED_OUT, Reason.TIME_LIMIT, "ended at its time limit"),
    OUTPUT_LIMIT: Verdict(Status.FAILED, Reason.OUTPUT_LIMIT, "wrote more output than is allowed"),
}


def on_program(report: EndReport | None, ended_by_us: str | None) -> Verdict:
    """Return the verdict on a run, before its result is looked at."""
    early = without_exit(report, ended_by_us)
    if early is not None or report is None:
        return early or sandbox_error("the sandbox ended without a report")
    if report.exec_error is not None:
        message = f"the command cannot be run: {report.exec_error}"
        return Verdict(Status.FAILED, Reason.COMMAND_NOT_FOUND, message)
    # The runner exits with 1 whenever it refuses.
    if report.policy_violation is not None and report.exit_code == 1:
        message = f"{POLICY_REFUSED}: {report.policy_violation}"
        return Verdict(Status.REJECTED, Reason.POLICY_VIOLATION, message)
    return _on_exit(report)


def without_exit(report: EndReport | None, ended_by_us: str | None) -> Verdict | None:
    """Return the verdict on what did not come to an end of its own; None where it did."""
    if ended_by_us in _BY_US:
        return _BY_US[ended_by_us]
    if report is None:
        return sandbox_error("the sandbox ended without a report")
    if report.setup_error is not None:
        return sandbox_error(f"the sandbox could not be set up: {report.setup_error}")
    return None


def sandbox_error(message: str) -> Verdict:
    """Return the verdict on a sandbox that failed."""
    return Verdict(Status.FAILED, Reason.SANDBOX_ERROR, message)


def with_result(verdict: Verdict, content: bytes | None) -> tuple[Verdict, str | None]:
    """Return the verdict and the result as JSON text, given what result.json holds, if it is there.

    What keeps a program from a success by itself keeps its result, too.
    """
    is_told = verdict.status is Status.SUCCEEDED or verdict.reason is Reason.EXIT_NONZERO
    if content is None or not is_told:
        return verdict, None
    result, problem = parse_result(content)
    if problem and verdict.status is Status.SUCCEEDED:
        verdict = Verdict(Status.FAILED, Reason.RESULT_INVALID, problem)
    return verdict, result


def parse_result(content: bytes) -> tuple[str | None, str | None]:
    """Return (JSON text, None), or (None, why it is not acceptable)."""
    if len(content) > MAX_RESULT_BYTES:
        return None, f"{RESULT_PATH} is larger than {MAX_RESULT_BYTES} bytes"
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()  # a lone surrogate is JSON but no text
    except (ValueError, RecursionError):
        return None, f"{RESULT_PATH} is not valid JSON"
    if json_depth(value) > MAX_RESULT_DEPTH:
        return None, f"{RESULT_PATH} nests deeper than {MAX_RESULT_DEPTH}"
    return json.dumps(value), None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _on_exit(report: EndReport) -> Verdict:
    if report.signal == signal.SIGKILL and report.oom_kills:
        return Verdict(Status.FAILED, Reason.OOM_KILLED, "over the memory limit")
    if report.signal is not None:
        message = f"ended by {_signal_name(report.signal)}"
        return Verdict(Status.FAILED, Reason.SIGNAL, message)
    if report.exit_code == 0:
        return Verdict(Status.SUCCEEDED)
    return Verdict(Status.FAILED, Reason.EXIT_NONZERO, f"exited with code {report.exit_code}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
