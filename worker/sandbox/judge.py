"""From what a sandbox told and what we know from outside to one outcome."""

import json
import signal
from dataclasses import replace
from typing import Any

from models.sandbox import ArtifactContent, Outcome
from models.status import Reason, Status
from models.types import json_depth
from worker.sandbox.collector import Collector
from worker.sandbox.guest.protocol import POLICY_REFUSED
from worker.sandbox.report import ExitReport

RESULT_PATH = "result.json"
MAX_RESULT_BYTES = 262_144  # of output/result.json
MAX_RESULT_DEPTH = 32  # nested arrays and objects

CANCEL = "cancel"
TIME_LIMIT = "time_limit"
OUTPUT_LIMIT = "output_limit"


def judge(
    collector: Collector,
    *,
    ended_by_us: str | None,
    isolation: dict[str, Any],
) -> Outcome:
    """Return the outcome. `ended_by_us` is why we ended the program, if we did."""
    report = collector.exit
    # A program that ended before our signal reached it ended by itself, as its report says.
    ended_by_us = ended_by_us if report is None else report.killed
    artifacts = collector.artifacts
    status, reason, message = _verdict(report, ended_by_us)
    result = None
    if status is Status.SUCCEEDED or reason is Reason.EXIT_NONZERO:
        result, problem = _result(artifacts)
        if problem and status is Status.SUCCEEDED:
            status, reason, message = Status.FAILED, Reason.RESULT_INVALID, problem
    return Outcome(
        status=status,
        reason=reason,
        message=message,
        exit_code=report.exit_code if report else None,
        signal=report.signal if report else None,
        stdout=collector.stdout.captured(report.stdout_bytes if report else 0),
        stderr=collector.stderr.captured(report.stderr_bytes if report else 0),
        result=result,
        artifacts=artifacts,
        warnings=_warnings(report, reason) if report else (),
        usage=_usage(report) if report else {},
        isolation=isolation,
    )


def out_of_memory(outcome: Outcome) -> Outcome:
    """Return the outcome of a sandbox that ended without a report when its memory was full."""
    message = "over the memory limit; the sandbox was ended"
    return replace(outcome, reason=Reason.OOM_KILLED, message=message)


def _verdict(
    report: ExitReport | None, ended_by_us: str | None
) -> tuple[Status, Reason | None, str | None]:
    ours = {
        CANCEL: (Status.CANCELLED, Reason.CANCEL_REQUESTED, "cancelled on request"),
        TIME_LIMIT: (Status.TIMED_OUT, Reason.TIME_LIMIT, "ended at its time limit"),
        OUTPUT_LIMIT: (Status.FAILED, Reason.OUTPUT_LIMIT, "wrote more output than is allowed"),
    }
    if ended_by_us in ours:
        return ours[ended_by_us]
    if report is None:
        return Status.FAILED, Reason.SANDBOX_ERROR, "the sandbox ended without a report"
    if report.setup_error is not None:
        message = f"the sandbox could not be set up: {report.setup_error}"
        return Status.FAILED, Reason.SANDBOX_ERROR, message
    if report.exec_error is not None:
        message = f"the command cannot be run: {report.exec_error}"
        return Status.FAILED, Reason.COMMAND_NOT_FOUND, message
    # The runner exits with 1 whenever it refuses.
    if report.policy_violation is not None and report.exit_code == 1:
        message = f"{POLICY_REFUSED}: {report.policy_violation}"
        return Status.REJECTED, Reason.POLICY_VIOLATION, message
    return _exit(report)


def _exit(report: ExitReport) -> tuple[Status, Reason | None, str | None]:
    if report.signal == signal.SIGKILL and report.oom_kills:
        return Status.FAILED, Reason.OOM_KILLED, "over the memory limit"
    if report.signal is not None:
        return Status.FAILED, Reason.SIGNAL, f"ended by {_signal_name(report.signal)}"
    if report.exit_code == 0:
        return Status.SUCCEEDED, None, None
    return Status.FAILED, Reason.EXIT_NONZERO, f"exited with code {report.exit_code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _result(artifacts: tuple[ArtifactContent, ...]) -> tuple[str | None, str | None]:
    for artifact in artifacts:
        if artifact.path == RESULT_PATH:
            return parse_result(artifact.content)
    return None, None


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


def _warnings(report: ExitReport, reason: Reason | None) -> tuple[str, ...]:
    warnings = [f"artifact {item.path!r} left out: {item.why}" for item in report.skipped]
    more = report.skipped_count - len(warnings)
    if more > 0:
        warnings.append(f"{more} more artifacts left out")
    if report.oom_kills and reason is not Reason.OOM_KILLED:
        warnings.append("a process of the program was ended for memory")
    return tuple(warnings)


def _usage(report: ExitReport) -> dict[str, float | int | None]:
    return {
        "wall_seconds": report.wall_seconds and round(report.wall_seconds, 6),
        "cpu_seconds": report.cpu_seconds and round(report.cpu_seconds, 6),
        "peak_memory_bytes": report.peak_memory_bytes,
    }
