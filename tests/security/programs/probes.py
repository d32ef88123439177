"""Asks the kernel for what a sandbox must refuse; prints JSON: probe name to errno (0: allowed).

Runs inside a sandbox, standard library only. Calls are made by number, so that neither Python nor
the C library can stand in the way of the answer.
"""

import ctypes
import json
import mmap
import os
import platform
import signal
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
BAD_POINTER = 8  # never mapped: a call that gets through answers EFAULT and changes nothing
CLONE_NEWUSER = 0x10000000
ADDR_NO_RANDOMIZE = 0x0040000

# Name: (number on x86_64, number on aarch64, arguments). Arguments are harmless if let through.
CALLS = {
    "mount": (165, 40, (BAD_POINTER, BAD_POINTER, BAD_POINTER, 0, 0)),
    "umount2": (166, 39, (BAD_POINTER, 0)),
    "pivot_root": (155, 41, (BAD_POINTER, BAD_POINTER)),
    "chroot": (161, 51, (BAD_POINTER,)),
    "unshare": (272, 97, (0,)),
    "unshare_user": (272, 97, (CLONE_NEWUSER,)),
    "setns": (308, 268, (-1, 0)),
    "ptrace": (101, 117, (16, 0, 0, 0)),
    "process_vm_readv": (310, 270, (0, 0, 0, 0, 0, 0)),
    "process_vm_writev": (311, 271, (0, 0, 0, 0, 0, 0)),
    "kcmp": (312, 272, (0, 0, 99, 0, 0)),
    "pidfd_getfd": (438, 438, (-1, 0, 0)),
    "keyctl": (250, 219, (0, -3, 0, 0, 0)),
    "add_key": (248, 217, (BAD_POINTER, BAD_POINTER, 0, 0, 0)),
    "request_key": (249, 218, (BAD_POINTER, BAD_POINTER, 0, 0)),
    "bpf": (321, 280, (0, BAD_POINTER, 8)),
    "perf_event_open": (298, 241, (BAD_POINTER, 0, -1, -1, 0)),
    "userfaultfd": (323, 282, (-1,)),
    "io_uring_setup": (425, 425, (0, BAD_POINTER)),
    "io_uring_enter": (426, 426, (-1, 0, 0, 0, 0, 0)),
    "io_uring_register": (427, 427, (-1, 0, 0, 0)),
    "open_tree": (428, 428, (-1, BAD_POINTER, 0)),
    "move_mount": (429, 429, (-1, BAD_POINTER, -1, BAD_POINTER, 0)),
    "fsopen": (430, 430, (BAD_POINTER, 0)),
    "fsconfig": (431, 431, (-1, 99, 0, 0, 0)),
    "fsmount": (432, 432, (-1, 0, 0)),
    "fspick": (433, 433, (-1, BAD_POINTER, 0)),
    "open_by_handle_at": (304, 265, (-1, BAD_POINTER, 0)),
    "name_to_handle_at": (303, 264, (-1, BAD_POINTER, 0, 0, 0)),
    "mount_setattr": (442, 442, (-1, BAD_POINTER, 0, 0, 0)),
    "quotactl_fd": (443, 443, (-1, 0, 0, 0)),
    "fanotify_init": (300, 262, (-1, 0)),
    "init_module": (175, 105, (0, 0, BAD_POINTER)),
    "finit_module": (313, 273, (-1, BAD_POINTER, 0)),
    "delete_module": (176, 106, (BAD_POINTER, 0)),
    "kexec_load": (246, 104, (0, 0, 0, 0)),
    "reboot": (169, 142, (0, 0, 0, 0)),
    "sethostname": (170, 161, (BAD_POINTER, 1)),
    "swapon": (167, 224, (BAD_POINTER, 0)),
    "acct": (163, 89, (BAD_POINTER,)),
    "settimeofday": (164, 170, (BAD_POINTER, 0)),
    "clock_settime": (227, 112, (0, BAD_POINTER)),
    "adjtimex": (159, 171, (BAD_POINTER,)),
    "mbind": (237, 235, (0, 0, 0, 0, 0, 0)),
    "migrate_pages": (256, 238, (0, 0, 0, 0)),
    "move_pages": (279, 239, (0, 0, 0, 0, 0, 0)),
    "set_mempolicy": (238, 237, (0, 0, 0)),
    "syslog": (103, 116, (2, 0, -1)),
    "personality": (135, 92, (ADDR_NO_RANDOMIZE,)),
    "clone3": (435, 435, (0, 0)),
    "prctl_set_mm": (157, 167, (35, 0, 0, 0, 0)),
    "socket_alg": (41, 198, (38, 5, 0)),
    "socket_vsock": (41, 198, (40, 1, 0)),
    "socket_netlink": (41, 198, (16, 3, 0)),
    "socket_packet": (41, 198, (17, 3, 0)),
    "socket_inet": (41, 198, (2, 1, 0)),
    "socket_unix": (41, 198, (1, 1, 0)),
    "socketpair_inet": (53, 199, (2, 1, 0, BAD_POINTER)),
    "mknod_device": (259, 33, (-1, BAD_POINTER, 0o020666, 0x103)),
    "ioctl_tiocsti": (16, 29, (-1, 0x5412, BAD_POINTER)),
    "ioctl_tioclinux": (16, 29, (-1, 0x541C, BAD_POINTER)),
    "ioctl_fionread": (16, 29, (-1, 0x541B, BAD_POINTER)),
}


def call(number, *arguments):
    """Errno of the call, or minus the signal it died of. A child makes it: what gets through here
    must not change the next probe."""
    pid = os.fork()
    if pid == 0:
        ctypes.set_errno(0)
        result = LIBC.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        os._exit(0 if result >= 0 else ctypes.get_errno())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def clone(flags):
    """Errno of clone(flags), with the child reaped at once."""
    ctypes.set_errno(0)
    number = 56 if platform.machine() == "x86_64" else 220
    pid = LIBC.syscall(number, ctypes.c_long(flags | signal.SIGCHLD), *[ctypes.c_long(0)] * 4)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
        return 0
    return ctypes.get_errno()


def in_child(function):
    """What `function` does to a child process: a signal's name, or "returned"."""
    pid = os.fork()
    if pid == 0:
        function()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "returned"


def getpid_by_the_32_bit_entry():
    """Machine code: mov eax, 20; int 0x80; ret."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def main():
    column = 0 if platform.machine() == "x86_64" else 1
    found = {name: call(row[column], *row[2]) for name, row in CALLS.items()}
    found["clone_plain"] = clone(0)
    for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, CLONE_NEWUSER, 0x20000000, 0x40000000):
        found[f"clone_{bit:#x}"] = clone(bit)
    status = Path("/proc/self/status").read_text().splitlines()
    pairs = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    found["status"] = {key: pairs[key] for key in ("Seccomp", "NoNewPrivs", "CapEff", "CapBnd")}
    if platform.machine() == "x86_64":
        found["entry_32_bit"] = in_child(getpid_by_the_32_bit_entry)
        found["entry_x32"] = call(0x40000000 | 39)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
