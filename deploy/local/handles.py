"""Who a process is: pid and start time together, so that a reused pid is never mistaken for it."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

PROC = Path("/proc")
BOOT_ID = PROC / "sys/kernel/random/boot_id"
# Fields of /proc/PID/stat, counted from the state (the third) on: see proc_pid_stat(5).
STATE_FIELD = 0
SESSION_FIELD = 3
START_FIELD = 19
TERMINATE_SECONDS = 15.0
KILL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class ProcessHandle:
    """One process of this boot. `started` is in clock ticks since boot, as the kernel counts.

    `stop_seconds` is how long it may take to end, by the environment that it was started with;
    None where nobody has said it. It is no part of who the process is.
    """

    pid: int
    started: int
    boot: str
    stop_seconds: float | None = field(default=None, compare=False)

    @classmethod
    def of(cls, pid: int) -> ProcessHandle | None:
        """Return the handle of a living process, None where there is none."""
        fields = _stat(pid)
        if fields is None or fields[STATE_FIELD] in {"Z", "X"}:
            return None
        return cls(pid=pid, started=int(fields[START_FIELD]), boot=BOOT_ID.read_text().strip())

    @classmethod
    def load(cls, path: Path) -> ProcessHandle | None:
        """Read a handle from its file; None where it is missing or unreadable."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write the handle to its file in one step."""
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(path)

    def is_alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return ProcessHandle.of(self.pid) == self

    def age_seconds(self) -> float:
        """Return how long ago the process started."""
        ticks = os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / ticks


def stop_all(
    handles: list[ProcessHandle],
    *,
    first: signal.Signals = signal.SIGTERM,
    timeout: float = TERMINATE_SECONDS,
) -> list[ProcessHandle]:
    """Stop processes together and everything left in their sessions; returns those killed hard.

    Each gets `first`, then SIGKILL when `timeout` seconds have passed. Signals go through a pidfd
    whose start time was checked, so they cannot reach a stranger with the same pid.
    """
    opened = {handle: fd for handle in handles if (fd := open_pidfd(handle)) is not None}
    descendants = _session_members({handle.pid for handle in opened})
    try:
        _signal(opened, first)
        _wait(opened, timeout)
        stubborn = [handle for handle in opened if handle.is_alive()]
        _signal({handle: opened[handle] for handle in stubborn}, signal.SIGKILL)
        _signal(descendants, signal.SIGKILL)
        _wait(opened | descendants, KILL_SECONDS)
        return stubborn
    finally:
        for handle, descriptor in (opened | descendants).items():
            os.close(descriptor)
            _reap(handle.pid)


def wait_until_dead(handle: ProcessHandle, timeout: float) -> bool:
    """Wait up to `timeout` seconds for the process to end; returns whether it has."""
    descriptor = open_pidfd(handle)
    if descriptor is None:
        return True
    try:
        _wait({handle: descriptor}, timeout)
    finally:
        os.close(descriptor)
    return not handle.is_alive()


def living_in(folder: Path) -> list[ProcessHandle]:
    """Return the processes whose working folder is `folder`, as far as we may see."""
    found = []
    for entry in PROC.iterdir():
        try:
            at_home = entry.name.isdigit() and (entry / "cwd").readlink() == folder
        except OSError:
            continue  # ended meanwhile, a zombie, or not ours to see
        handle = ProcessHandle.of(int(entry.name)) if at_home else None
        if handle is not None:
            found.append(handle)
    return found


def open_pidfd(handle: ProcessHandle) -> int | None:
    """Open the process; None where it has ended. The caller closes the descriptor."""
    try:
        descriptor = os.pidfd_open(handle.pid)
    except OSError:
        return None
    # Opened first, checked second: from here on the pid cannot come to mean someone else.
    if handle.is_alive():
        return descriptor
    os.close(descriptor)
    return None


def _signal(opened: dict[ProcessHandle, int], number: signal.Signals) -> None:
    for descriptor in opened.values():
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)


def _wait(opened: dict[ProcessHandle, int], timeout: float) -> None:
    """Wait until all have ended or `timeout` seconds have passed; a pidfd reads as ready then."""
    deadline = time.monotonic() + timeout
    poller = select.poll()
    waiting = set(opened.values())
    for descriptor in waiting:
        poller.register(descriptor, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            poller.unregister(descriptor)
            waiting.discard(descriptor)


def _session_members(sessions: set[int]) -> dict[ProcessHandle, int]:
    """Open every process that belongs to one of `sessions` without leading it."""
    members = {}
    for entry in PROC.iterdir() if sessions else ():
        pid = int(entry.name) if entry.name.isdigit() else 0
        fields = _stat(pid) if pid and pid not in sessions else None
        if fields is None or int(fields[SESSION_FIELD]) not in sessions:
            continue
        handle = ProcessHandle.of(pid)
        descriptor = open_pidfd(handle) if handle else None
        if handle is not None and descriptor is not None:
            members[handle] = descriptor
    return members


def _reap(pid: int) -> None:
    # Ours when this very process started it (tests do); init's or a subreaper's otherwise.
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field, the name in brackets, may itself hold blanks and brackets.
    return text.rpartition(")")[2].split()
