"""Calls that are let through whatever their arguments, in groups, each with its reason.

`MINIMAL` is what a Python program needs to compute, to work with files and to start other
programs, without a network. `STANDARD_ADDS` is what ordinary programs use beyond that.
"""

from security_profiles.rules import Rule, allow

MINIMAL: tuple[Rule, ...] = (
    allow(
        "reading and writing open files",
        """read write readv writev pread64 pwrite64 lseek close close_range dup dup2 dup3 fcntl
        flock pipe pipe2 fsync fdatasync ftruncate fadvise64 sendfile copy_file_range""",
    ),
    allow(
        "finding, opening and describing files; runc itself needs fstatfs inside the filter",
        """open openat access faccessat faccessat2 stat fstat lstat newfstatat statx statfs
        fstatfs readlink readlinkat getdents64 getcwd chdir fchdir""",
    ),
    allow(
        "changing directory entries, modes and times of own files",
        """mkdir mkdirat rmdir rename renameat link linkat symlink symlinkat unlink unlinkat
        chmod fchmod fchmodat umask utimensat""",
    ),
    allow(
        "reading extended attributes: shutil.copy2 fails if they cannot be listed",
        "listxattr llistxattr getxattr lgetxattr",
    ),
    allow("memory of the own process", "brk mmap munmap mprotect mremap madvise msync"),
    allow(
        "threads, locks and the C library's start-up",
        """futex set_robust_list set_tid_address rseq arch_prctl sched_yield sched_getaffinity
        getrandom""",
    ),
    allow(
        "starting, awaiting and ending processes",
        """fork vfork execve exit exit_group wait4 waitid kill tkill tgkill pidfd_open setsid
        setpgid restart_syscall""",
    ),
    allow(
        "who and where the own process is",
        """getpid getppid gettid getpgrp getuid geteuid getgid getegid getgroups uname sysinfo
        getrusage times getpriority""",
    ),
    allow(
        "signals",
        """rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait
        sigaltstack pause alarm getitimer setitimer""",
    ),
    allow(
        "reading clocks and sleeping",
        "clock_gettime clock_getres clock_nanosleep gettimeofday nanosleep time",
    ),
    allow(
        "waiting for several descriptors",
        "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2",
    ),
    allow(
        "using the socket pair that asyncio wakes itself with",
        "sendto recvfrom shutdown getsockname getsockopt",
    ),
)

STANDARD_ADDS: tuple[Rule, ...] = (
    allow(
        "network: connecting and serving; socket() itself is limited by family",
        """connect bind listen accept accept4 sendmsg sendmmsg recvmsg recvmmsg setsockopt
        getpeername""",
    ),
    allow(
        "older and newer spellings of file calls that compiled programs use",
        """creat openat2 renameat2 fchmodat2 truncate fallocate  preadv pwritev preadv2
        pwritev2 getdents utime utimes futimesat splice tee readahead sync_file_range
        cachestat""",
    ),
    allow(
        "owners of files: archives and package tools; the kernel checks the capability",
        "chown fchown lchown fchownat",
    ),
    allow(
        "the rest of the extended attributes of own files",
        """flistxattr fgetxattr setxattr lsetxattr fsetxattr removexattr lremovexattr
        fremovexattr setxattrat getxattrat listxattrat removexattrat""",
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
        """timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create
        timerfd_settime timerfd_gettime""",
    ),
    allow(
        "signals as descriptors and to one thread",
        "signalfd signalfd4 rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal",
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
        "older and newer ways to wait for descriptors",
        "epoll_create epoll_pwait2 eventfd",
    ),
    allow(
        "more about the own process and its limits",
        "getpgid getsid getresuid getresgid capget getrlimit",
    ),
)
