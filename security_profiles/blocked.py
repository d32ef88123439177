"""Calls that no profile allows, and no request adds unless the operator permits them by name.

The filter denies by default, so this list does not make the filter; it makes a mistake in the
allow lists, or a request for one of these, an error instead of a hole.
"""

_ESCAPE = "changes what the container's file tree or namespaces are: the way out of a container"
_MOUNT_API = "new mount API: the same power as mount, and past filters that only know mount"
_HANDLES = "opens files by inode, around every path check and across bind mounts"
_KERNEL_CODE = "loads code into the running kernel or replaces it"
_KERNEL_LOG = "reads kernel addresses and messages, or moves the kernel's own settings"
_SPYING = "reads or changes another process from outside"
_SYSTEM = "changes the whole machine, not the container"
_TIME = "the clock belongs to every container on the host"
_MEMORY_POLICY = "moves memory between NUMA nodes of the host; used in kernel exploits to shape it"
_KEYS = "the kernel keyring is not fully namespaced and has a history of privilege bugs"
_IO_URING = "runs file and network calls past seccomp; the largest source of recent kernel exploits"
_PROGRAMS = "puts programs or probes into the kernel"
_FAULTS = "lets user code stall the kernel in the middle of a copy: makes races exploitable"
_WATCH = "watches or decides file access for a whole mount, not for one process"
_HARDWARE = "direct access to ports or descriptor tables of the processor"
_OBSOLETE = "obsolete; nothing current needs it, old code behind it is seldom tested"
_MOUNT_SPYING = "shows mounts of the host's tree in detail"

_REASONS: dict[str, str] = {
    "mount umount umount2 pivot_root chroot unshare setns": _ESCAPE,
    "open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr": _MOUNT_API,
    "open_by_handle_at name_to_handle_at": _HANDLES,
    "create_module init_module finit_module delete_module kexec_load kexec_file_load": _KERNEL_CODE,
    "syslog _sysctl": _KERNEL_LOG,
    "ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd": _SPYING,
    "reboot sethostname setdomainname acct swapon swapoff quotactl quotactl_fd vhangup": _SYSTEM,
    "clock_settime clock_adjtime settimeofday adjtimex stime": _TIME,
    "mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node": _MEMORY_POLICY,
    "add_key request_key keyctl": _KEYS,
    "io_uring_setup io_uring_enter io_uring_register": _IO_URING,
    "bpf perf_event_open uprobe uretprobe": _PROGRAMS,
    "userfaultfd": _FAULTS,
    "fanotify_init fanotify_mark": _WATCH,
    "iopl ioperm modify_ldt": _HARDWARE,
    "uselib ustat sysfs nfsservctl lookup_dcookie get_kernel_syms query_module": _OBSOLETE,
    "afs_syscall getpmsg putpmsg security tuxcall vserver remap_file_pages": _OBSOLETE,
    "statmount listmount": _MOUNT_SPYING,
}

BLOCKED: dict[str, str] = {name: why for names, why in _REASONS.items() for name in names.split()}
"""System call name: why it is blocked in every profile, to be told to who asks for it."""

REFUSED_WITH_ENOSYS: dict[str, str] = {
    "clone3": "its flags lie behind a pointer that seccomp cannot read; libc falls back to clone",
}
"""Calls that answer "not implemented", so that the C library takes the older, checkable one.
The operator can permit these by name too; the answer is then no longer given."""
