"""Process 1 of a sandbox: reads one job, runs it once, reports, waits to be let go.

It cannot be killed from inside (the kernel protects process 1 of a pid namespace) nor traced
(it is not dumpable). When its input ends the worker is gone, and it takes the container down.
"""

from __future__ import annotations

import os
import time

from . import child, files, isolation, lean, protocol, single
from .channel import Channel, ChannelClosedError
from .children import Children
from .lean import signal
from .preparation import Prepared, suits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_WORD_SECONDS = 120  # until a worker must have said something; it gives up far sooner
SLACK_SECONDS = 40  # beyond the time limit, for files, artifacts and the last frames; and
# after them, for a worker or an engine to end the sandbox
ABANDONED = 70  # exit code when the worker is gone


def main() -> None:
    """Run the one job of this sandbox."""
    if os.getpid() != 1:
        raise SystemExit("the supervisor runs only as process 1 of a sandbox")
    # Python's handler would let a program inside interrupt us; the default cannot reach process 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    channel = Channel(*_take_standard_streams())
    child.set_dumpable(0)
    children = Children()
    prepared = _prepare(children)
    try:
        # An engine that died amid our start has forgotten us, and its shim keeps our input open.
        _end_after(FIRST_WORD_SECONDS)
        job = _wait_for_job(channel)
        _end_after(job["timeout_seconds"] + SLACK_SECONDS)
        try:
            _run(channel, children, job, prepared)
        except OSError as error:
            channel.send_json(protocol.EXIT, {"setup_error": error.strerror or str(error)})
    except ChannelClosedError:
        os._exit(ABANDONED)
    _await_end(channel, children)
    os._exit(0)


def _await_end(channel: Channel, children: Children) -> None:
    """Wait, alone in the sandbox, until the worker lets go of it.

    It takes the engine several milliseconds of all processors to end a container: the worker has
    that done when the outcome is recorded.
    """
    _end_after(SLACK_SECONDS)
    children.end_all()  # nothing may outlive the report
    try:
        while True:
            channel.receive()
    except ChannelClosedError:
        return


def _prepare(children: Children) -> Prepared | None:
    """Start an interpreter ahead of the job; without one, the program takes longer to start."""
    try:
        return Prepared(files.unlinked_file(), children)
    except OSError:
        return None


def _wait_for_job(channel: Channel) -> dict[str, Any]:
    """Return the job; until then, tell what isolation is in force as often as asked."""
    while True:
        kind, payload = channel.receive()
        asked: dict[str, Any] = lean.loads(payload)
        if kind == protocol.JOB:
            return asked
        _end_after(asked["patience_seconds"])
        report = isolation.read()
        if report["interfaces"] not in ([], ["lo"]):
            from . import reachability

            report["reachability"] = reachability.probe()
        channel.send_json(protocol.REPORT, report | {"dumpable": False})


def _end_after(seconds: float) -> None:
    """End this sandbox at that time, whatever it waits for: a read, or a write nobody takes."""
    due = time.monotonic() + seconds

    def end(*_: object) -> None:
        # A program inside may send the signal; it cannot make it due.
        if time.monotonic() >= due:
            os._exit(ABANDONED)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _take_standard_streams() -> tuple[int, int]:
    """Move the worker's channel away from 0 and 1, so that no child can inherit it."""
    channel = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    return channel


def _run(
    channel: Channel, children: Children, job: dict[str, Any], prepared: Prepared | None
) -> None:
    """Do what the job asks for; the last frame is EXIT. Raises OSError when it cannot be begun."""
    if prepared is not None and not (suits(job) and prepared.is_waiting()):
        children.end_all()  # or it would count as a process of the program
        prepared.close()
        prepared = None
    stdin = files.place_files(channel, job)
    if "batch" in job:
        from . import batch

        batch.run(channel, children, job, prepared)
        return
    single.run(channel, children, job, stdin, prepared)
