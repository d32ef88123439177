"""Starts the user's program as a child with its own pipes and limits."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from . import protocol
from .channel import Channel

WORKSPACE = Path("/workspace")
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
SETTING_UP, EXECUTING = "S", "E"  # how far a child came
NICENESS = 10  # the program yields to the supervisor inside their common CPU quota
LOGIN_UID = 65534  # nobody: can be set once, and would name a user of the host in its audit log
OOM_SCORE = 1000  # the highest: the program goes first when memory runs out
BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": str(WORKSPACE),
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


def set_dumpable(value: int) -> None:
    """Allow (1) or forbid (0) others of the same user to trace this process or read its memory.

    Raises OSError when the kernel does not: without it process 1 is no supervisor.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, value, 0, 0, 0) or libc.prctl(PR_GET_DUMPABLE) != value:
        raise OSError(ctypes.get_errno(), "the kernel does not change who may trace this process")


def place_files(channel: Channel, job: dict[str, Any]) -> int:
    """Write the input files; return a descriptor to read standard input from.

    Raises OSError when they do not fit.
    """
    (WORKSPACE / "output").mkdir(exist_ok=True)
    for path in job["files"]:
        target = WORKSPACE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(channel.receive()[1])
    return _unlinked_file(channel.receive()[1])


def _unlinked_file(data: bytes) -> int:
    descriptor = os.open(WORKSPACE, os.O_TMPFILE | os.O_RDWR, 0o600)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class Program:
    """The running child and the read ends of its output pipes."""

    def __init__(self, job: dict[str, Any], stdin_fd: int) -> None:
        self.stdout, stdout_write = os.pipe()
        self.stderr, stderr_write = os.pipe()
        failure_read, failure_write = os.pipe()
        self._policy, policy_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(job, stdin_fd, stdout_write, stderr_write, failure_write, policy_write)
        for descriptor in (stdin_fd, stdout_write, stderr_write, failure_write, policy_write):
            os.close(descriptor)
        # Ends at once: exec closes the pipe, or the child says how far it came and why no further.
        said = os.read(failure_read, 256).decode(errors="replace")
        os.close(failure_read)
        self.setup_error = said[1:] if said[:1] == SETTING_UP else None
        self.exec_error = said[1:] if said[:1] == EXECUTING else None
        # Or the program could empty a pipe between our being told and our reading, and hang us.
        for descriptor in (self.stdout, self.stderr, self._policy):
            os.set_blocking(descriptor, False)

    def policy_violation(self) -> str | None:
        """Return what RestrictedPython refused, once the program has ended."""
        try:
            said = os.read(self._policy, protocol.MAX_POLICY_REPORT)
        except BlockingIOError:
            return None  # somebody holds the other end, and has said nothing
        return said.decode(errors="replace") or None


def _become(
    job: dict[str, Any], stdin: int, stdout: int, stderr: int, failure: int, policy: int
) -> NoReturn:
    stage = SETTING_UP
    try:
        os.setsid()
        for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, target)
        os.nice(NICENESS)
        set_dumpable(1)
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")
        with contextlib.suppress(OSError):  # a kernel without audit has no such file
            Path("/proc/self/loginuid").write_text(str(LOGIN_UID), encoding="ascii")
        _limit(resource.RLIMIT_NOFILE, job["file_descriptors"])
        _limit(resource.RLIMIT_CORE, 0)
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(WORKSPACE)
        stage = EXECUTING
        program = job["argv"][0]
        if job.get("restricted_python"):
            # Not whatever the environment's PATH leads to.
            program = sys.executable
            os.dup2(policy, protocol.POLICY_FD)
        proxy = PROXY_ENVIRONMENT if job.get("egress") else {}
        environment = BASE_ENVIRONMENT | proxy | job["environment"]
        os.execvpe(program, job["argv"], environment)  # noqa: S606
    except BaseException as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        os.write(failure, (stage + (text or "unknown error")).encode(errors="replace")[:256])
    finally:
        sys.stdout = sys.stderr = None
        os._exit(127)


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))
