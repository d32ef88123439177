"""Process 1 of a sandbox: reads one job, runs it once, reports, exits.

It cannot be killed from inside (the kernel protects process 1 of a pid namespace) nor traced
(it is not dumpable). When its input ends the worker is gone, and it takes the container down.
"""

import json
import os
import selectors
import signal
import time
from typing import Any

from . import artifacts, forwarder, isolation, protocol, reachability
from .capture import Capture
from .channel import Channel, ChannelClosedError
from .program import Program, place_files, set_dumpable

DEADLINE_SLACK = 10  # seconds past the limit after which the guest ends itself, unasked
FIRST_WORD_SECONDS = 120  # until a worker must have said something; it gives up far sooner
COLLECT_SECONDS = (
    30  # for input files, artifacts and the last frames, beyond the run's own deadline
)
DRAIN_SECONDS = 1  # for what the ended program had written; a pipe holds 64 KiB
READ_SIZE = 65_536  # bytes, the size of a pipe
ABANDONED = 70  # exit code when the worker is gone


def main() -> None:
    """Run the one job of this sandbox."""
    if os.getpid() != 1:
        raise SystemExit("the supervisor runs only as process 1 of a sandbox")
    # Python's handler would let a program inside interrupt us; the default cannot reach process 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    channel = Channel(*_take_standard_streams())
    set_dumpable(0)
    try:
        # An engine that died amid our start has forgotten us, and its shim keeps our input open.
        _end_after(FIRST_WORD_SECONDS)
        job = _wait_for_job(channel)
        _end_after(job["timeout_seconds"] + DEADLINE_SLACK + COLLECT_SECONDS)
        _Run(channel, job).run()
    except ChannelClosedError:
        os._exit(ABANDONED)
    os._exit(0)


def _wait_for_job(channel: Channel) -> dict[str, Any]:
    """Return the job; until then, tell what isolation is in force as often as asked."""
    while True:
        kind, payload = channel.receive()
        asked: dict[str, Any] = json.loads(payload)
        if kind == protocol.JOB:
            return asked
        _end_after(asked["patience_seconds"])
        report = isolation.read()
        if report["interfaces"] not in ([], ["lo"]):
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


class _Run:
    """One program from its start to the report of its end."""

    def __init__(self, channel: Channel, job: dict[str, Any]) -> None:
        self.channel = channel
        self.job = job
        self.deadline = time.monotonic() + job["timeout_seconds"] + DEADLINE_SLACK
        limit = job["max_output_bytes"]
        self.captures = {
            "stdout": Capture(channel, protocol.STDOUT, protocol.STDOUT_TAIL, limit),
            "stderr": Capture(channel, protocol.STDERR, protocol.STDERR_TAIL, limit),
        }
        self.wait_status: int | None = None
        self.killed: str | None = None
        self.drained_at = float("inf")  # when to stop waiting for the ends of the pipes
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Do it all; the last frame is EXIT."""
        try:
            stdin = place_files(self.channel, self.job)
            if self.job.get("egress"):
                forwarder.start()
        except OSError as error:
            self.channel.send_json(protocol.EXIT, {"setup_error": error.strerror})
            return
        self._watch_children()
        self.channel.send(protocol.STARTED)
        started, cpu = time.monotonic(), isolation.cpu_seconds()
        program = Program(self.job, stdin)
        self._follow(program)
        wall = time.monotonic() - started
        self._kill_everything()
        self._report(program, wall, cpu)

    def _watch_children(self) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self.selector.register(read, selectors.EVENT_READ, "children")
        self.selector.register(self.channel.read_fd, selectors.EVENT_READ, "channel")

    def _follow(self, program: Program) -> None:
        self.selector.register(program.stdout, selectors.EVENT_READ, "stdout")
        self.selector.register(program.stderr, selectors.EVENT_READ, "stderr")
        open_streams = {"stdout", "stderr"}
        while self.wait_status is None or open_streams:
            now = time.monotonic()
            if now > self.drained_at:
                return  # something that is no process holds a pipe open, as a socket in flight may
            left = min(self.deadline, self.drained_at) - now
            if self.deadline <= now:
                raise ChannelClosedError  # the worker should have ended this long ago
            for key, _ in self.selector.select(left):
                if key.data in open_streams:
                    if not self._read_output(key.fd, key.data):
                        open_streams.discard(key.data)
                elif key.data == "channel":
                    self._obey()
                else:
                    self._reap(key.fd, program.pid)

    def _read_output(self, descriptor: int, name: str) -> bool:
        try:
            data = os.read(descriptor, READ_SIZE)
        except BlockingIOError:
            return True  # the program has read it back itself
        if not data:
            self.selector.unregister(descriptor)
            return False
        self.captures[name].feed(data)
        total = sum(capture.total for capture in self.captures.values())
        if total > self.job["max_output_total_bytes"] and self.killed is None:
            self._kill("output_limit")
        return True

    def _obey(self) -> None:
        kind, payload = self.channel.receive()
        if kind == protocol.KILL:
            self._kill(payload.decode())

    def _kill(self, why: str) -> None:
        self.killed = self.killed or why
        self._kill_everything()

    def _reap(self, wakeup_fd: int, program_pid: int) -> None:
        os.read(wakeup_fd, READ_SIZE)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == program_pid:
                self.wait_status = status
                self.drained_at = time.monotonic() + DRAIN_SECONDS
                # Whoever survives the program must not hold its pipes open, nor run on.
                self._kill_everything()

    def _kill_everything(self) -> None:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _report(self, program: Program, wall: float, cpu_before: float | None) -> None:
        left_out = artifacts.collect(self.channel, self.job["artifacts"])
        for capture in self.captures.values():
            capture.finish()
        oom_kills, peak = isolation.memory_events()
        cpu_now = isolation.cpu_seconds()
        assert self.wait_status is not None  # noqa: S101 - _follow ends only then
        code = os.waitstatus_to_exitcode(self.wait_status)
        self.channel.send_json(
            protocol.EXIT,
            {
                "exit_code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "setup_error": program.setup_error,
                "exec_error": program.exec_error,
                "policy_violation": program.policy_violation(),
                "killed": self.killed,
                "oom_kills": oom_kills,
                "peak_memory_bytes": peak,
                "wall_seconds": wall,
                "cpu_seconds": None
                if cpu_now is None or cpu_before is None
                else cpu_now - cpu_before,
                "stdout_bytes": self.captures["stdout"].total,
                "stderr_bytes": self.captures["stderr"].total,
                **left_out,
            },
        )
