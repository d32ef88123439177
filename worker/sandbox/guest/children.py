"""Every process of a sandbox, as process 1 sees it end."""

import os

from .lean import signal, suppress

WAKEUP_BYTES = 4096  # read at once of the signals that came


class Children:
    """Reaps whatever ends; keeps how those ended that somebody asks about."""

    def __init__(self) -> None:
        self.wakeup, write = os.pipe()  # readable when there may be something to reap
        for end in (self.wakeup, write):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._exit_codes: dict[int, int | None] = {}
        self._never_stopped: set[int] = set()

    def expect(self, pid: int, *, may_stop: bool = True) -> None:
        """Keep how this process ends; one that may not stop is ended when somebody stops it."""
        self._exit_codes.setdefault(pid, None)
        if not may_stop:
            self._never_stopped.add(pid)

    def exit_code(self, pid: int) -> int | None:
        """Return the code, or the number of the signal below zero; None while it runs."""
        return self._exit_codes[pid]

    def forget(self, pid: int) -> None:
        """Drop what is known of a process."""
        self._exit_codes.pop(pid, None)
        self._never_stopped.discard(pid)

    def reap(self) -> None:
        """Take the ends of all that have ended by now."""
        with suppress(BlockingIOError):
            os.read(self.wakeup, WAKEUP_BYTES)
        while self._wait(os.WNOHANG):
            pass

    def end_all(self) -> None:
        """Kill every process but this one; return when none is left, not even a dead one."""
        while True:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                return
            self._wait(0)
            while self._wait(os.WNOHANG):
                pass

    def _wait(self, options: int) -> bool:
        try:
            pid, status = os.waitpid(-1, options | os.WUNTRACED)
        except ChildProcessError:
            return False
        if pid == 0:
            return False
        if os.WIFSTOPPED(status):
            if pid in self._never_stopped:
                os.kill(pid, signal.SIGKILL)
        elif pid in self._exit_codes:
            self._exit_codes[pid] = os.waitstatus_to_exitcode(status)
        return True
