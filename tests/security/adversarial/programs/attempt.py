"""Tries things and writes down which got through; sent into the sandbox beside each program.

Calls are made by number, so that neither Python nor the C library can stand in the way.
"""

import ctypes
import errno
import json
import os
import platform
import signal
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
BAD_POINTER = 8  # never mapped: a call that gets through answers EFAULT and changes nothing
COLUMN = 0 if platform.machine() == "x86_64" else 1
NUMBERS = {  # name: number on x86_64, number on aarch64
    "ioctl": (16, 29),
    "clone": (56, 220),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ptrace": (101, 117),
    "syslog": (103, 116),
    "personality": (135, 92),
    "mknodat": (259, 33),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "adjtimex": (159, 171),
    "chroot": (161, 51),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "clock_settime": (227, 112),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "migrate_pages": (256, 238),
    "unshare": (272, 97),
    "move_pages": (279, 239),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "prlimit64": (302, 261),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "clock_adjtime": (305, 266),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "finit_module": (313, 273),
    "memfd_create": (319, 279),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "pidfd_open": (434, 434),
    "clone3": (435, 435),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
}
FILTERED = (errno.EPERM, errno.ENOSYS)  # what the filter answers; anything else came past it

escaped = []
refused = {}


def call(name, *arguments):
    """The result of a system call; bytes are passed as pointers. Raises OSError."""
    ctypes.set_errno(0)
    words = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = LIBC.syscall(ctypes.c_long(NUMBERS[name][COLUMN]), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def attempt(name, function, *arguments):
    """Do something that any error refuses."""
    try:
        function(*arguments)
    except OSError as error:
        refused[name] = errno.errorcode.get(error.errno, str(error))
    else:
        escaped.append(name)


def attempt_call(name, *arguments, label=None):
    """Make a call that the filter itself must refuse: that the kernel dislikes it is not enough."""
    label = label or name
    try:
        call(name, *arguments)
    except OSError as error:
        refused[label] = errno.errorcode[error.errno]
        if error.errno not in FILTERED:
            escaped.append(f"{label} ({refused[label]})")
    else:
        escaped.append(label)


def attempt_write(path, content=b"1"):
    """Write to a file that must not take it."""

    def write():
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)

    attempt(f"write {path}", write)


def attempt_read(path):
    """Read from a file that must not be read; an empty one (a file masked by /dev/null) tells
    nothing."""

    def read():
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not os.read(descriptor, 64):
                raise OSError(errno.ENODATA, "empty")
        finally:
            os.close(descriptor)

    attempt(f"read {path}", read)


def in_child(function):
    """How a child ends that does `function`: its exit code, or minus a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sleeping_child():
    """The id of a child that does nothing; the caller ends it."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


def report():
    """Write what happened where the worker takes the result from."""
    Path("output").mkdir(exist_ok=True)
    found = {"escaped": escaped, "refused": refused}
    Path("output/result.json").write_text(json.dumps(found))
