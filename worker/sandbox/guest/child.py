"""What a child of the supervisor becomes before it runs anything of the user's."""

import ctypes
import os
import resource

from .lean import signal, suppress

WORKSPACE = "/workspace"
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
NICENESS = 10  # the program yields to the supervisor inside their common CPU quota
LOGIN_UID = "65534"  # nobody: can be set once, and would name a user of the host in its audit log
OOM_SCORE = "1000"  # the highest: the program goes first when memory runs out


def set_dumpable(value: int) -> None:
    """Allow (1) or forbid (0) others of the same user to trace this process or read its memory.

    Raises OSError when the kernel does not: without it process 1 is no supervisor.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, value, 0, 0, 0) or libc.prctl(PR_GET_DUMPABLE) != value:
        raise OSError(ctypes.get_errno(), "the kernel does not change who may trace this process")


def leave_the_supervisor(stdin: int, stdout: int, stderr: int) -> None:
    """Take these standard streams, a session of our own, and no rights of process 1."""
    os.setsid()
    for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    os.nice(NICENESS)
    set_dumpable(1)
    with suppress(OSError):  # a kernel without audit has no such file
        _write("/proc/self/loginuid", LOGIN_UID)
    limit(resource.RLIMIT_CORE, 0)
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(WORKSPACE)


def first_to_go() -> None:
    """Let the kernel end this process before all others when memory runs out."""
    _write("/proc/self/oom_score_adj", OOM_SCORE)


def limit(which: int, value: int) -> None:
    """Lower a limit of this process, within what it may have."""
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
