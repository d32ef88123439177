"""Calls that no request can block, because the container runtime makes them inside the filter.

Measured with runc 1.1.5 by tracing `runc run` and by blocking everything else. Without one of
them the container fails to start, or spins in the Go runtime where even `docker rm -f` hangs.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LAST_STEPS = _names("close execve fstat fstatfs getdents64 newfstatat openat read write")
_LAST_CHECKS = _names("fcntl getpid getppid")
"""Without these runc starts the program but less safely: fcntl marks its own descriptors of the
host to be closed, and the others tell it whether its parent is still there."""
_GO_RUNTIME = _names("clone exit_group futex mmap munmap rt_sigprocmask rt_sigreturn")

TO_START = _LAST_STEPS | _LAST_CHECKS | _GO_RUNTIME
"""Needed by every container."""

TO_DROP_RIGHTS = _names(
    "capget capset chdir faccessat faccessat2 fchown getcwd prctl setgid setgroups setuid"
)
"""Needed besides when no_new_privileges is off: runc then filters first and drops rights later."""
