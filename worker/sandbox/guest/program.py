"""Runs the user's program by executing its command."""

from __future__ import annotations

import os
import resource
import sys

from . import child, files, protocol
from .children import Children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

SETTING_UP, EXECUTING = "S", "E"  # how far a child came
BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": child.WORKSPACE,
    "LANG": "C.UTF-8",
    "TMPDIR": "/tmp",  # noqa: S108 - a tmpfs of this sandbox alone
    "PYTHONUNBUFFERED": "1",  # or a killed program's last lines would be lost
    "PYTHONDONTWRITEBYTECODE": "1",
}
_PROXY = f"http://127.0.0.1:{protocol.EGRESS_PORT}"
_DIRECT = "localhost,127.0.0.1,::1"
# In both cases of letters: curl reads only the lower one of http_proxy, others only the upper.
# Of all kinds HTTP's: for SOCKS many clients need a package that an image may not have.
PROXY_ENVIRONMENT = {
    name: value
    for upper, value in (
        ("HTTP_PROXY", _PROXY),
        ("HTTPS_PROXY", _PROXY),
        ("ALL_PROXY", _PROXY),
        ("NO_PROXY", _DIRECT),
    )
    for name in (upper, upper.lower())
}


def added_environment(job: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a job's program beyond BASE_ENVIRONMENT, or in place of its own."""
    own: dict[str, str] = job["environment"]
    return PROXY_ENVIRONMENT | own if job.get("egress") else own


class Program:
    """One run of a command."""

    word = None  # nothing but its own end tells of its end

    def __init__(self, children: Children) -> None:
        self._children = children
        self._setup_error: str | None = None
        self.exec_error: str | None = None

    def give(self, stdin: bytes | bytearray) -> None:
        """Set what it is to read. Raises OSError when there is no room for that."""
        self._stdin = files.unlinked_file(stdin)

    def begin(self, job: dict[str, Any]) -> None:
        """Start it. Raises OSError when nothing can be started."""
        pipes = [os.pipe() for _ in range(4)]
        self.stdout, self.stderr, failure, self._policy = ours = [pipe[0] for pipe in pipes]
        given = [self._stdin, *(pipe[1] for pipe in pipes)]
        try:
            self._pid = os.fork()
            if self._pid == 0:
                _become(job, *given)
        except OSError:
            _close(ours)
            raise
        finally:
            _close(given)
        self._children.expect(self._pid)
        # Ends at once: exec closes the pipe, or the child says how far it came and why no further.
        said = os.read(failure, 256).decode(errors="replace")
        os.close(failure)
        self._setup_error = said[1:] if said[:1] == SETTING_UP else None
        self.exec_error = said[1:] if said[:1] == EXECUTING else None
        # Or the program could empty a pipe between our being told and our reading, and hang us.
        for descriptor in (self.stdout, self.stderr, self._policy):
            os.set_blocking(descriptor, False)

    def hear(self) -> None:
        """Read what it has to say to the supervisor: nothing."""

    def exit_code(self) -> int | None:
        """Return the code, or the number of the signal below zero; None while it runs."""
        return self._children.exit_code(self._pid)

    def end_rest(self) -> None:
        """End what it has left running."""
        self._children.end_all()

    def has_started(self) -> bool:
        """Whether this run is all that there will be of it: what failed here would fail again."""
        return True

    def setup_error(self) -> str | None:
        """Return what kept the command from being executed."""
        return self._setup_error

    def policy_violation(self) -> str | None:
        """Return what RestrictedPython refused, once the program has ended."""
        try:
            said = os.read(self._policy, protocol.MAX_POLICY_REPORT)
        except BlockingIOError:
            return None  # somebody holds the other end, and has said nothing
        return said.decode(errors="replace") or None

    def close(self) -> None:
        """Give its pipes back."""
        self._children.forget(self._pid)
        _close([self.stdout, self.stderr, self._policy])


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _become(
    job: dict[str, Any], stdin: int, stdout: int, stderr: int, failure: int, policy: int
) -> NoReturn:
    stage = SETTING_UP
    try:
        child.leave_the_supervisor(stdin, stdout, stderr)
        child.first_to_go()
        child.limit(resource.RLIMIT_NOFILE, job["file_descriptors"])
        stage = EXECUTING
        program = job["argv"][0]
        if job.get("restricted_python"):
            # Not whatever the environment's PATH leads to.
            program = sys.executable
            os.dup2(policy, protocol.POLICY_FD)
        os.execvpe(program, job["argv"], BASE_ENVIRONMENT | added_environment(job))  # noqa: S606
    except BaseException as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        os.write(failure, (stage + (text or "unknown error")).encode(errors="replace")[:256])
    finally:
        sys.stdout = sys.stderr = None
        os._exit(127)
