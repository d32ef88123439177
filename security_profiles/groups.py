"""Calls that are let through whatever their arguments, in groups, each with its reason.

`MINIMAL` is what a Python program needs to compute, to work with files and to start other
programs, without a network. `STANDARD_ADDS` is what ordinary programs use beyond that.
"""

from security_profiles.rules import Rule, allow

MINIMAL: tuple[Rule, ...] = (
    allow(
        "reading and writing open files",
        """read write readv writev pread64 pwrite64 lseek close close_range dup2 fcntl flock
        pipe2 fsync fdatasync ftruncate sendfile copy_file_range""",
    ),
    allow(
        "finding, opening and describing files; runc itself needs fstatfs inside the filter",
        """openat access faccessat2 fstat newfstatat statx statfs fstatfs readlink getdents64
        getcwd chdir fchdir""",
    ),
    allow(
        "changing directory entries, modes and times of own files; mv fails without renameat2",
        """mkdir mkdirat rmdir creat rename renameat2 link symlink symlinkat unlink unlinkat
        chmod fchmod fchmodat umask utimensat""",
    ),
    allow(
        # `cp -p` and `install` set them too, which takes standard.
        "listing extended attributes: shutil.copy2 fails without it, but not without their values",
        "listxattr llistxattr",
    ),
    allow("memory of the own process", "brk mmap munmap mprotect mremap madvise msync"),
    allow(
        "threads, locks and the C library's start-up",
        """futex set_robust_list set_tid_address rseq arch_prctl sched_yield sched_getaffinity
        getrandom""",
    ),
    allow(
        "starting, awaiting and ending processes",
        """vfork execve exit exit_group wait4 waitid kill tgkill pidfd_open setsid setpgid""",
    ),
    allow(
        "who and where the own process is",
        """getpid getppid gettid getpgrp getuid geteuid getgid getegid getgroups uname sysinfo
        getrusage times getpriority""",
    ),
    allow(
        "signals",
        """rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack
        pause alarm setitimer""",
    ),
    allow("sleeping", "clock_nanosleep"),
    allow("waiting for several descriptors", "poll pselect6 epoll_create1 epoll_ctl epoll_wait"),
    allow(
        "using a socket pair, as asyncio does to wake itself and to talk to its children",
        "sendto recvfrom shutdown getsockname",
    ),
    # From here on: not seen in a trace of CPython on glibc 2.36, x86_64 and a common clock.
    allow(
        "rare libc path: aarch64 has only these spellings of calls above",
        "dup3 faccessat readlinkat renameat linkat ppoll epoll_pwait",
    ),
    allow(
        "rare libc path: what musl and older glibc call on x86_64",
        "open stat lstat dup pipe fork select tkill nanosleep",
    ),
    allow(
        "rare libc path: clocks are read without a call, unless the host's clock source forbids it",
        "clock_gettime clock_getres gettimeofday time",
    ),
    allow("rare libc path: the kernel itself resumes an interrupted sleep so", "restart_syscall"),
    allow("rare libc path: how a shell awaits the signal of a child's end", "rt_sigsuspend"),
)
"""135 names together with `conditional.MINIMAL`, 25 of them older spellings that only x86_64 has:
110 on aarch64. Fewer than 130 on x86_64 would leave out what musl, an older glibc or a host with a
slow clock source needs; such a gap shows only at a user's, and seldom. Measured by
`python -m tests.security.trace_syscalls`: anew after a change here.
"""

STANDARD_ADDS: tuple[Rule, ...] = (
    allow(
        "network: connecting and serving; socket() itself is limited by family",
        """connect bind listen accept accept4 sendmsg sendmmsg recvmsg recvmmsg setsockopt
        getsockopt getpeername""",
    ),
    allow(
        "older and newer spellings of file calls that compiled programs use",
        """openat2 fchmodat2 truncate fallocate fadvise64 preadv pwritev preadv2 pwritev2
        getdents utime utimes futimesat splice tee readahead sync_file_range""",
    ),
    allow(
        "owners of files: archives and package tools; the kernel checks the capability",
        "chown fchown lchown fchownat",
    ),
    allow(
        "the rest of the extended attributes of own files",
        """flistxattr getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr removexattr
        lremovexattr fremovexattr""",
    ),
    allow("watching own files", "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch"),
    allow(
        "locked, shared and protected memory: crypto libraries, JITs, array libraries",
        """mlock mlock2 munlock mlockall munlockall mincore memfd_create pkey_alloc pkey_free
        pkey_mprotect mseal""",
    ),
    allow(
        # POSIX queues are absent: the kernel counts them by user, and all sandboxes share one.
        "System V message passing, private to the container's IPC namespace",
        "shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl",
    ),
    allow(
        "timers as descriptors and per process",
        """getitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
        timerfd_create timerfd_settime timerfd_gettime""",
    ),
    allow(
        "signals as descriptors, to one thread, and waiting ones",
        "rt_sigpending signalfd signalfd4 rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal",
    ),
    allow(
        "scheduling within what the kernel lets this user have",
        """getcpu sched_getscheduler sched_getparam sched_getattr
        sched_get_priority_max sched_get_priority_min sched_rr_get_interval ioprio_get""",
    ),
    allow(
        "giving up rights: the kernel allows only steps down without a capability, and runc takes "
        "these steps inside the filter when no_new_privileges is off",
        """setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset
        setrlimit""",
    ),
    allow(
        "a program narrowing its own file access further (Landlock)",
        "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    ),
    allow(
        "locks of other runtimes than CPython, and running a program by descriptor",
        "get_robust_list membarrier futex_waitv futex_wake futex_wait futex_requeue execveat",
    ),
    allow(
        "other ways to wait for descriptors",
        "epoll_create epoll_pwait2 eventfd eventfd2",
    ),
    allow(
        "more about the own process and its limits",
        "getpgid getsid getresuid getresgid capget getrlimit",
    ),
)
