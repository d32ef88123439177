"""Calls that are let through only for certain arguments, with the reason for each value.

Numbers are those of the Linux user API headers (linux/sched.h, linux/prctl.h, asm-generic/
ioctls.h, linux/socket.h), the same on x86_64 and aarch64.
"""

from security_profiles.rules import ENOSYS, Condition, Rule, one_of

CLONE_NAMESPACE_FLAGS = 0x7E020000
"""NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. CLONE_NEWTIME (0x80) is not here:
in clone its bit belongs to the exit signal, and the kernel takes it from unshare and clone3 only.
"""

_FILE_TYPE_MASK = 0o170000
_FIFO = 0o010000

_PROCESSES: tuple[Rule, ...] = (
    Rule(
        names=("clone",),
        why="threads and processes, never with a new namespace",
        condition=Condition(index=0, value=0, mask=CLONE_NAMESPACE_FLAGS),
    ),
    Rule(
        names=("clone3",),
        why="flags lie behind a pointer; ENOSYS makes the C library use clone",
        errno=ENOSYS,
    ),
)

# Process 1 is the supervisor, of the same user: a program must not set its limits, priority or
# processors. Zero means the caller. (A thread that sets another thread's gets EPERM as well.)
_OWN_LIMITS: tuple[Rule, ...] = (
    *one_of("prlimit64", 0, {0: "own resource limits"}),
    Rule(
        names=("setpriority",),
        why="own priority only: PRIO_PROCESS of the caller",
        condition=Condition(index=0, value=0),
        second=Condition(index=1, value=0),
    ),
)

# setarch and debuggers of native code; nothing that minimal is for.
_PERSONALITY: tuple[Rule, ...] = (
    *one_of(
        "personality",
        0,
        {
            0x0: "plain Linux, which it is already",
            0xFFFFFFFF: "asks for the current one, changes nothing",
        },
    ),
)

_OWN_SCHEDULING: tuple[Rule, ...] = tuple(
    rule
    for name in ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
    for rule in one_of(name, 0, {0: "own scheduling only"})
)

_PRCTL_MINIMAL = {
    1: "PR_SET_PDEATHSIG: a child ends with its supervisor",
    2: "PR_GET_PDEATHSIG: reads the same",
    3: "PR_GET_DUMPABLE: reads the same flag as 4 sets",
    4: "PR_SET_DUMPABLE: the supervisor hides its memory from the program",
    15: "PR_SET_NAME: thread names",
    16: "PR_GET_NAME: reads the same",
    21: "PR_GET_SECCOMP: the sandbox reports what is in force",
    23: "PR_CAPBSET_READ: the same, and runc reads it too",
    36: "PR_SET_CHILD_SUBREAPER: a supervisor collects orphans",
    37: "PR_GET_CHILD_SUBREAPER: reads the same",
    38: "PR_SET_NO_NEW_PRIVS: can only be switched on",
    39: "PR_GET_NO_NEW_PRIVS: the sandbox reports what is in force",
    0x53564D41: "PR_SET_VMA: the allocator names its memory areas",
}

_PRCTL_STANDARD_ADDS = {
    7: "PR_GET_KEEPCAPS: reads the same flag as 8 sets",
    8: "PR_SET_KEEPCAPS: runc uses it when no_new_privileges is off",
    24: "PR_CAPBSET_DROP: only gives up rights; runc, when no_new_privileges is off",
    27: "PR_GET_SECUREBITS: reading only, as capability tools do",
    29: "PR_SET_TIMERSLACK: own timers only",
    30: "PR_GET_TIMERSLACK: reads the same",
    41: "PR_SET_THP_DISABLE: own memory only",
    42: "PR_GET_THP_DISABLE: reads the same",
    47: "PR_CAP_AMBIENT: cannot exceed the permitted set; runc, when no_new_privileges is off",
}

# TIOCSTI (0x5412) and TIOCLINUX (0x541C) push input into a terminal: they are absent on purpose.
_IOCTL_MINIMAL = {
    0x5401: "TCGETS: is it a terminal?",
    0x802C542A: "TCGETS2: the same, asked by newer C libraries",
    0x540F: "TIOCGPGRP: foreground group, asked by shells",
    0x5413: "TIOCGWINSZ: terminal size",
    0x541B: "FIONREAD: bytes waiting",
    0x5421: "FIONBIO: non-blocking mode of sockets and pipes",
    0x5450: "FIONCLEX: keep open over exec",
    0x5451: "FIOCLEX: close on exec",
    0x40049409: "FICLONE: file copies of newer Pythons try it first and expect to be allowed to",
}

_IOCTL_STANDARD_ADDS = {
    0x5402: "TCSETS: terminal modes of an own pseudo-terminal",
    0x5403: "TCSETSW: the same, after output is sent",
    0x5404: "TCSETSF: the same, and forgets unread input",
    0x402C542B: "TCSETS2: TCSETS of newer C libraries",
    0x402C542C: "TCSETSW2: TCSETSW of newer C libraries",
    0x402C542D: "TCSETSF2: TCSETSF of newer C libraries",
    0x540E: "TIOCSCTTY: pty.fork makes its terminal the controlling one",
    0x5410: "TIOCSPGRP: job control of a shell",
    0x5411: "TIOCOUTQ: bytes not sent yet",
    0x5414: "TIOCSWINSZ: size of an own pseudo-terminal",
    0x5422: "TIOCNOTTY: give up the controlling terminal",
    0x5429: "TIOCGSID: session of a terminal, asked by shells",
    0x5452: "FIOASYNC: signal-driven input",
    0x80045430: "TIOCGPTN: opening a pseudo-terminal",
    0x40045431: "TIOCSPTLCK: opening a pseudo-terminal",
    0x5441: "TIOCGPTPEER: opening a pseudo-terminal",
    0x8910: "SIOCGIFNAME: name of a network interface",
    0x8933: "SIOCGIFINDEX: number of a network interface",
}

_UNIX = {1: "AF_UNIX: the only family that has pairs"}
_FAMILIES = {1: "AF_UNIX: local services", 2: "AF_INET: IPv4", 10: "AF_INET6: IPv6"}

_FIFO_ONLY: tuple[Rule, ...] = tuple(
    Rule(
        names=(name,),
        why="named pipes only, no device files",
        condition=Condition(index=index, value=_FIFO, mask=_FILE_TYPE_MASK),
    )
    for name, index in (("mknod", 1), ("mknodat", 2))
)

MINIMAL: tuple[Rule, ...] = (
    *_PROCESSES,
    *_OWN_LIMITS,
    *one_of("prctl", 0, _PRCTL_MINIMAL),
    *one_of("ioctl", 1, _IOCTL_MINIMAL),
    *one_of("socketpair", 0, _UNIX),
)

STANDARD_ADDS: tuple[Rule, ...] = (
    *_PERSONALITY,
    *_OWN_SCHEDULING,
    *one_of("prctl", 0, _PRCTL_STANDARD_ADDS),
    *one_of("ioctl", 1, _IOCTL_STANDARD_ADDS),
    *one_of("socket", 0, _FAMILIES),
    *_FIFO_ONLY,
)

STANDARD: tuple[Rule, ...] = (*MINIMAL, *STANDARD_ADDS)
