"""Runs the one program of a job that is no batch."""

from __future__ import annotations

from . import egress, ending, protocol
from .capture import ERR, OUT, Capture
from .channel import Channel
from .children import Children
from .preparation import Prepared
from .program import Program
from .turn import Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEADLINE_SLACK = 10  # seconds past the limit after which the guest ends the program, unasked


def run(
    channel: Channel,
    children: Children,
    job: dict[str, Any],
    stdin: bytes,
    prepared: Prepared | None,
) -> None:
    """Run it and report; `prepared` is an interpreter that waits for it.

    Raises OSError when it cannot be started, ChannelClosedError when the worker has gone.
    """
    limit = job["max_output_bytes"]
    captures = Capture(channel, *OUT, limit), Capture(channel, *ERR, limit)
    program: Prepared | Program = prepared or Program(children)
    program.give(stdin)
    channel.send(protocol.STARTED)
    meter = ending.Meter()
    report = _report_of(program, channel, children, job, captures)
    if report is None:  # the interpreter died while it waited
        program = Program(children)
        program.give(stdin)
        report = _report_of(program, channel, children, job, captures)
    meter.stop()
    for capture in captures:
        capture.finish()
    ending.end(channel, job, meter, report or {})


def _report_of(
    program: Prepared | Program,
    channel: Channel,
    children: Children,
    job: dict[str, Any],
    captures: tuple[Capture, Capture],
) -> dict[str, Any] | None:
    """Return how the program ended; None when it has not been begun."""
    egress.open_way(job)
    try:
        program.begin(job)
    except BrokenPipeError:
        return None
    turn = Turn(
        channel,
        children,
        program,
        captures,
        most_output=job["max_output_total_bytes"],
        seconds=job["timeout_seconds"] + DEADLINE_SLACK,
    )
    code = turn.follow()
    if not program.has_started() and turn.killed is None:
        return None
    out, err = captures
    return ending.how_it_ended(program, code) | {
        "killed": turn.killed,
        "stdout_bytes": out.total,
        "stderr_bytes": err.total,
    }
