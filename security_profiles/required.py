"""Calls that no request can block: container runtime and supervisor make them inside the filter.

TO_START is measured with runc 1.1.5 by tracing `runc run` and by blocking everything else. Without
one of them the container fails to start, or spins in the Go runtime where `docker rm -f` hangs.
TO_SUPERVISE is measured by blocking one call after the other under the guest supervisor.
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

_INTERPRETER = _names(
    "arch_prctl getgid getgroups getuid ioctl lseek mprotect pread64 prlimit64 rt_sigaction"
)
_ONE_JOB = _names(
    """chdir dup2 dup3 epoll_create1 epoll_ctl epoll_pwait epoll_wait getpriority kill mkdir mkdirat
    pipe pipe2 poll ppoll pselect6 select setitimer setpriority setsid wait4"""
)
"""Some stand for others on another architecture or C library."""
_TO_HIDE = _names("prctl")
"""Makes the supervisor undumpable: else the program opens its memory and its channel by /proc/1."""

TO_SUPERVISE = _INTERPRETER | _ONE_JOB | _TO_HIDE
"""Without these the supervisor does not run its one job, or not safely."""

TO_DROP_RIGHTS = _names(
    "capget capset chdir faccessat faccessat2 fchown getcwd prctl setgid setgroups setuid"
)
"""Needed besides when no_new_privileges is off: runc then filters first and drops rights later."""
