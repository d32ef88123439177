"""From what a sandbox told and what we know from outside to one outcome."""

from dataclasses import replace
from typing import Any

from models.sandbox import ArtifactContent, Outcome
from models.status import Reason, Status
from worker.sandbox import verdict
from worker.sandbox.collector import Collector
from worker.sandbox.report import ExitReport
from worker.sandbox.verdict import (
    CANCEL,
    MAX_RESULT_BYTES,
    MAX_RESULT_DEPTH,
    RESULT_PATH,
    TIME_LIMIT,
    Verdict,
    parse_result,
)

__all__ = [
    "CANCEL",
    "MAX_RESULT_BYTES",
    "MAX_RESULT_DEPTH",
    "RESULT_PATH",
    "TIME_LIMIT",
    "judge",
    "out_of_memory",
    "parse_result",
]


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
    runs = collector.runs
    if runs is None:
        found = verdict.on_program(report, ended_by_us)
        found, result = verdict.with_result(found, _result(artifacts))
    else:
        found, result = _on_batch(report, ended_by_us, is_complete=runs.are_complete), None
    return Outcome(
        status=found.status,
        reason=found.reason,
        message=found.message,
        exit_code=report.exit_code if report else None,
        signal=report.signal if report else None,
        stdout=collector.stdout.captured(report.stdout_bytes if report else 0),
        stderr=collector.stderr.captured(report.stderr_bytes if report else 0),
        result=result,
        artifacts=artifacts,
        warnings=_warnings(report, found.reason) if report else (),
        usage=_usage(report) if report else {},
        isolation=isolation,
        batch=None if runs is None else runs.counts,
    )


def out_of_memory(outcome: Outcome) -> Outcome:
    """Return the outcome of a sandbox that ended without a report when its memory was full."""
    message = "over the memory limit; the sandbox was ended"
    return replace(outcome, reason=Reason.OOM_KILLED, message=message)


def _on_batch(report: ExitReport | None, ended_by_us: str | None, *, is_complete: bool) -> Verdict:
    """A batch succeeds by coming to its end, however its runs ended."""
    early = verdict.without_exit(report, ended_by_us)
    if early is None and not is_complete:
        return verdict.sandbox_error("the sandbox told of fewer runs than there are inputs")
    return early or Verdict(Status.SUCCEEDED)


def _result(artifacts: tuple[ArtifactContent, ...]) -> bytes | None:
    return next((item.content for item in artifacts if item.path == RESULT_PATH), None)


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
