"""Gathers the runs of a batch from a sandbox's frames, and passes them on in chunks."""

import time
from itertools import accumulate, pairwise

from models.sandbox import CapturedStream, InputOutcome, SandboxConfig
from models.status import Status
from worker.sandbox import verdict
from worker.sandbox.backend import OnResults
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest.protocol import RUN_HEAD
from worker.sandbox.keeper import StreamKeeper
from worker.sandbox.report import RunReport, parse

CHUNK = 200  # runs passed on at once, or
CHUNK_BYTES = 1_048_576  # so many bytes of what they wrote, or
CHUNK_SECONDS = 0.25  # those of so long a time
MOST_RESULT = verdict.MAX_RESULT_BYTES + 1  # one more shows that there is too much


class Runs:
    """The runs that have ended, in the order of their inputs."""

    def __init__(self, spec: SandboxConfig, on_results: OnResults) -> None:
        self._spec = spec
        self._on_results = on_results
        self._ended = {Status.SUCCEEDED: 0, Status.FAILED: 0, Status.TIMED_OUT: 0}
        self._waiting: list[InputOutcome] = []
        self._waiting_bytes = 0
        self._passed_on_at = time.monotonic()
        self._report: RunReport | None = None  # of a run whose bytes have not all come
        self._body = bytearray()

    @property
    def counts(self) -> dict[str, int]:
        """How many inputs there are, and how many runs ended how."""
        return {
            "inputs": len(self._spec.inputs),
            **{status.value: count for status, count in self._ended.items()},
        }

    @property
    def are_complete(self) -> bool:
        """Whether every input has had its run."""
        return self._next == len(self._spec.inputs) and self._report is None

    @property
    def due(self) -> float:
        """When `flush` is to be called, on the monotonic clock."""
        return self._passed_on_at + CHUNK_SECONDS if self._waiting else float("inf")

    @property
    def _next(self) -> int:
        return sum(self._ended.values())

    def begin(self, payload: bytes) -> None:
        """Take the first frame of a run. Raises ProtocolError when it is not the next one's."""
        if self._report is not None:
            raise ProtocolError("a run begins within another")
        if len(payload) < RUN_HEAD.size:
            raise ProtocolError("a run without its report")
        head_end = RUN_HEAD.size + RUN_HEAD.unpack_from(payload)[0]
        report = parse(RunReport, payload[RUN_HEAD.size : head_end])
        if report.index != self._next or report.index >= len(self._spec.inputs):
            raise ProtocolError(f"run {report.index} in the place of {self._next}")
        if self._is_over_the_caps(report):
            raise ProtocolError("a run over its caps")
        self._report = report
        self.more(payload[head_end:])

    def more(self, data: bytes) -> None:
        """Take further bytes of what the run wrote. Raises ProtocolError when they are too many."""
        report = self._report
        if report is None:
            raise ProtocolError("bytes without a run")
        self._body += data
        missing = sum(report.sizes) + (report.result_bytes or 0) - len(self._body)
        if missing < 0:
            raise ProtocolError("a run larger than it said")
        if missing == 0:
            self._keep(report)
            self._report, self._body = None, bytearray()

    def flush(self) -> None:
        """Pass on what has ended."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._on_results(waiting)
        self._passed_on_at = time.monotonic()

    def _is_over_the_caps(self, report: RunReport) -> bool:
        limit = self._spec.input_max_output_bytes
        out_head, out_tail, err_head, err_tail = report.sizes
        return (
            out_head + out_tail > limit
            or err_head + err_tail > limit
            or (report.result_bytes or 0) > MOST_RESULT
        )

    def _keep(self, report: RunReport) -> None:
        outcome = _outcome(report, bytes(self._body))
        self._ended[outcome.status] += 1
        self._waiting.append(outcome)
        self._waiting_bytes += len(self._body)
        if (
            len(self._waiting) >= CHUNK
            or self._waiting_bytes >= CHUNK_BYTES
            or time.monotonic() >= self.due
        ):
            self.flush()


def _outcome(report: RunReport, body: bytes) -> InputOutcome:
    cuts = pairwise(accumulate(report.sizes, initial=0))
    out_head, out_tail, err_head, err_tail = (body[start:end] for start, end in cuts)
    content = None if report.result_bytes is None else body[sum(report.sizes) :]
    found, result = verdict.with_result(verdict.on_program(report, report.killed), content)
    return InputOutcome(
        index=report.index,
        # What the policy refuses fails its run: the batch was not rejected.
        status=Status.FAILED if found.status is Status.REJECTED else found.status,
        reason=found.reason,
        exit_code=report.exit_code,
        signal=report.signal,
        stdout=_captured(out_head, out_tail, report.stdout_bytes),
        stderr=_captured(err_head, err_tail, report.stderr_bytes),
        result=result,
        wall_seconds=report.wall_seconds and round(report.wall_seconds, 6),
    )


def _captured(head: bytes, tail: bytes, total: int) -> CapturedStream:
    keeper = StreamKeeper(len(head) + len(tail))
    keeper.head(head)
    keeper.tail(tail)
    return keeper.captured(total)
