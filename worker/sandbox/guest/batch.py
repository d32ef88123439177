"""Runs the program of a batch once for each input, one run after another.

The runs share the folders: what one leaves in /workspace, the next one finds. No process of a run
outlives its turn.
"""

from __future__ import annotations

import time

from . import ending, files, isolation, lean, protocol, results
from .capture import Kept
from .channel import Channel
from .children import Children
from .preparation import Prepared
from .program import Program
from .starter import Starter
from .turn import Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .zygote import Zygote


def run(
    channel: Channel, children: Children, job: dict[str, Any], prepared: Prepared | None
) -> None:
    """Run the program for each input and report; as single.run."""
    inputs = files.read_inputs(channel, job["batch"]["inputs"])
    channel.send(protocol.STARTED)
    meter = ending.Meter()
    killed = _Batch(channel, children, job, prepared).run(inputs)
    meter.stop()
    ending.end(channel, job, meter, {"killed": killed})


class _Batch:
    """All runs of one job."""

    def __init__(
        self, channel: Channel, children: Children, job: dict[str, Any], prepared: Prepared | None
    ) -> None:
        """`prepared` is an interpreter that waits for the program: runs are forked from it."""
        self._channel, self._children = channel, children
        self._limits: dict[str, Any] = job["batch"]
        self._output_left: int = job["max_output_total_bytes"]
        self._starter = Starter(channel, children, job, prepared)
        self._told: str | None = None
        self._oom_kills = isolation.oom_kills()

    def run(self, inputs: bytearray) -> str | None:
        """Run them all, tell of each; return why the worker had it ended before, if it did.

        `inputs` are all of them, without a gap. Raises ChannelClosedError when the worker has gone.
        """
        at = 0
        for index, size in enumerate(self._limits["inputs"]):
            self._starter.prepare()
            if why := self._told or self._starter.told:
                return why
            if not self._run_one(index, inputs[at : at + size]):
                return self._told
            at += size
        return None

    def _run_one(self, index: int, stdin: bytes | bytearray) -> bool:
        """Return whether there was an end to tell of: not where the worker brought it about."""
        kept = Kept(self._limits["max_output_bytes"])
        started = time.monotonic()
        try:
            report = self._run_program(stdin, kept)
        except OSError as error:
            report = {"setup_error": error.strerror or str(error)}
        wall = time.monotonic() - started
        result = results.take(self._limits["result_bytes"])
        self._output_left -= kept.total
        if report is not None:
            report |= {
                "index": index,
                "wall_seconds": wall,
                "oom_kills": self._new_oom_kills(),
                "stdout_bytes": kept.out.total,
                "stderr_bytes": kept.err.total,
            }
            self._tell(report, kept.finish(), result)
        return report is not None

    def _new_oom_kills(self) -> int:
        before, self._oom_kills = self._oom_kills, isolation.oom_kills()
        return self._oom_kills - before

    def _run_program(self, stdin: bytes | bytearray, kept: Kept) -> dict[str, Any] | None:
        """Return how it ended; None when the worker had it ended."""
        fork = self._starter.fork(stdin)
        if fork is not None:
            report = self._follow(fork, kept)
            if fork.has_started() or report is None or report["killed"] is not None:
                return report
            self._starter.never_fork()
        program = self._starter.execute(stdin)
        try:
            return self._follow(program, kept)
        finally:
            program.close()

    def _follow(self, program: Program | Zygote, kept: Kept) -> dict[str, Any] | None:
        turn = Turn(
            self._channel,
            self._children,
            program,
            (kept.out, kept.err),
            most_output=self._output_left,
            seconds=self._limits["timeout_seconds"],
        )
        code = turn.follow()
        self._told = turn.told
        if turn.told is not None and turn.killed == turn.told:
            return None
        return ending.how_it_ended(program, code) | {"killed": turn.killed}

    def _tell(self, report: dict[str, Any], parts: list[bytearray], result: bytes | None) -> None:
        report["sizes"] = [len(part) for part in parts]
        report["result_bytes"] = None if result is None else len(result)
        head = lean.dumps(report)
        body = b"".join([protocol.RUN_HEAD.pack(len(head)), head, *parts, result or b""])
        self._channel.send(protocol.RUN, body[: protocol.MAX_GUEST_FRAME])
        self._channel.send_bytes(protocol.REST, body[protocol.MAX_GUEST_FRAME :])
