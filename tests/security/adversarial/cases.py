"""The adversarial suite as a table: what each program tries, and how it must end.

Every case is a program in programs/, run for real under each of the three security profiles.
What it says about itself is half of the evidence; `checks` and the host (host.py) are the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.security.adversarial import checks, payloads
from tests.security.adversarial.checks import Check

PROGRAMS = Path(__file__).parent / "programs"
HELPER = "attempt.py"

SUCCEEDED = "succeeded"
TIMED_OUT = "timed_out time_limit"
OUT_OF_MEMORY = "failed oom_killed"
TOO_MUCH_OUTPUT = "failed output_limit"
BAD_RESULT = "failed result_invalid"
EXITED = "failed exit_nonzero"
REFUSED = "rejected policy_violation"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One program and how it must end.

    ends: acceptable "status reason", under every profile but those in `differs`.
    granted: by profile, what the program may get through with because the profile gives it on
        purpose; `why_granted` says why that is no hole.
    seconds, memory_mb, processes, storage_mb, cpu_percent: limits; small, so that all is quick.
    files: input files, made when needed.
    text: the program itself, where it is too small for a file of its own.
    restricted: run under RestrictedPython; the program prints MARK when it gets out.
    refused_for: what the refusal's message must hold, for a restricted program.
    blocks_all: the request blocks every call that it may: stricter must not make anything weaker.
        Such a case is called as the program that it runs again, with "_blocked" behind.
    reports: the program tells in its result what it tried, and what of that got through.
    """

    name: str
    tries: str
    ends: tuple[str, ...]
    differs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    granted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    why_granted: str = ""
    checks: tuple[Check, ...] = ()
    files: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    seconds: float = 10
    memory_mb: int = 64
    processes: int = 16
    storage_mb: int = 16
    cpu_percent: float = 100
    text: str | None = None
    restricted: bool = False
    refused_for: str = ""
    blocks_all: bool = False
    reports: bool = False

    @property
    def source(self) -> str:
        """The program."""
        if self.text is not None:
            return self.text
        return (PROGRAMS / f"{self.name.removesuffix('_blocked')}.py").read_text()

    def expected(self, profile: str) -> tuple[str, ...]:
        """How it may end under `profile`."""
        return self.differs.get(profile, self.ends)


def row(name: str, tries: str, *ends: str, **more: object) -> Case:
    """One line of the table."""
    return Case(name=name, tries=tries, ends=ends, **more)  # type: ignore[arg-type]


# fmt: off
RESOURCES = (
    row("fork_bomb", "forks for ever", TIMED_OUT, seconds=1, memory_mb=256),
    row("memory_bomb", "takes memory without end", OUT_OF_MEMORY),
    row("memory_bomb_in_child", "the same in a child", SUCCEEDED,
        checks=(checks.output_is("-9\n"), checks.warns("ended for memory"))),
    row("memory_of_many_children", "memory spread so that the supervisor is the largest",
        OUT_OF_MEMORY, TIMED_OUT, seconds=3),
    row("memory_in_files", "memory as files, which stay", OUT_OF_MEMORY, storage_mb=256),
    row("memory_in_shared_segments", "memory as System V segments, which stay", OUT_OF_MEMORY,
        differs={"minimal": (EXITED,)}),
    row("memory_in_pipes", "kernel memory in full sockets", TIMED_OUT, OUT_OF_MEMORY, seconds=2),
    row("disk_bytes", "fills /, /tmp, /dev/shm, /workspace, all else with bytes", SUCCEEDED,
        reports=True),
    row("disk_inodes", "fills the same with empty files", SUCCEEDED, reports=True),
    row("descriptors", "opens descriptors without end", SUCCEEDED,
        checks=(checks.output_is("50\n"),), reports=True),
    row("cpu_threads", "spins on 64 threads", TIMED_OUT, seconds=1.5, processes=80, cpu_percent=50,
        checks=(checks.cpu_share_below(0.7),)),
    row("sleep", "sleeps past its time", TIMED_OUT, seconds=1, checks=(checks.wall_below(9),)),
    row("ignore_sigterm", "ignores and blocks every signal", TIMED_OUT, seconds=1,
        checks=(checks.wall_below(9),)),
    row("stopped", "stops itself", TIMED_OUT, seconds=1, checks=(checks.wall_below(9),)),
    row("double_fork", "leaves daemons that hold stdout", SUCCEEDED,
        checks=(checks.wall_below(9),)),
)

OUTPUT = (
    row("stdout_10_gb", "writes 10 GB", TOO_MUCH_OUTPUT, checks=(checks.kept_output_is_small,)),
    row("stderr_without_newline", "writes 1 GB without a line end", TOO_MUCH_OUTPUT,
        checks=(checks.kept_output_is_small,)),
    row("hostile_bytes", "NUL, invalid UTF-8, terminal escapes", SUCCEEDED,
        checks=(checks.hostile_bytes_arrive, checks.command_line_is_harmless)),
    row("result_deep", "a result nested 100,000 deep", BAD_RESULT),
    row("result_huge", "a result of 4 MB with a number of a million digits", BAD_RESULT),
)

ARTIFACTS = (
    row("artifact_kinds", "links to /etc/shadow, hard link, FIFO, device, sparse 1 TB", SUCCEEDED,
        checks=(checks.artifacts_are("good.txt"),)),
    row("artifact_names", "names with ../, escapes, line ends, options", SUCCEEDED,
        checks=(checks.artifact_names_are_harmless, checks.download_stays_inside,
                checks.command_line_is_harmless)),
    row("artifact_swapped_folder", "swaps a folder for a link to /etc in a loop", SUCCEEDED,
        checks=(checks.artifacts_among("good.txt", "swap/passwd", "other/passwd", "third/passwd"),
                checks.nothing_of_etc)),
    row("artifact_linked_output", "makes output/ a link to /etc", SUCCEEDED,
        checks=(checks.artifacts_are(),)),
    row("artifact_depth", "nests thousands of folders", SUCCEEDED,
        checks=(checks.output_is("True\n"), checks.artifacts_are())),
    row("artifact_crowd", "leaves thousands of files", SUCCEEDED,
        checks=(checks.artifact_count_at_most(64),)),
    row("archive_bombs", "unpacks archives of 256 MB", SUCCEEDED,
        files={"bomb.zip": payloads.zip_bomb, "bomb.gz": payloads.gzip_bomb},
        checks=(checks.output_is("['ENOSPC', 'ENOSPC']\n"),), reports=True),
)

SUPERVISOR = (
    row("forged_frames", "writes the supervisor's frames: success, artifacts", EXITED,
        checks=(checks.exit_code_is(7), checks.artifacts_are())),
    row("exit_at_once", "os._exit(0) while a child goes on", SUCCEEDED,
        checks=(checks.wall_below(9), checks.artifacts_among("result.json", "late"))),
    row("supervisor_signals", "kills and stops the supervisor", SUCCEEDED, reports=True),
    row("supervisor_memory", "traces it, reads its memory and descriptors", SUCCEEDED,
        reports=True),
    row("supervisor_memory_blocked", "the same, all calls blocked that a request may block",
        SUCCEEDED, reports=True, blocks_all=True),
    row("supervisor_limits", "sets its limits, priority and files", SUCCEEDED, reports=True),
    row("kill_everything", "kill -1 and every number", SUCCEEDED,
        checks=(checks.output_is("alive\n"),)),
    row("kill_the_host_canary", "goes for a process and a file of the host", SUCCEEDED,
        reports=True),
)

KERNEL = (
    row("mounts", "mount, umount, fsopen, open_tree, move_mount", SUCCEEDED, reports=True),
    row("change_root", "chroot, pivot_root, open_by_handle_at", SUCCEEDED, reports=True),
    row("unshare", "unshare of each kind, uid_map", SUCCEEDED, reports=True),
    row("setns", "setns by file and by process", SUCCEEDED, reports=True),
    row("clone_namespaces", "clone and clone3 with namespaces", SUCCEEDED, reports=True),
    row("trace_children", "ptrace", SUCCEEDED, reports=True),
    row("read_processes", "process_vm_readv, kcmp, pidfd_getfd", SUCCEEDED, reports=True),
    row("bpf", "bpf", SUCCEEDED, reports=True),
    row("perf", "perf_event_open", SUCCEEDED, reports=True),
    row("keyrings", "keyctl, add_key, request_key", SUCCEEDED, reports=True),
    row("userfaultfd", "userfaultfd", SUCCEEDED, reports=True),
    row("io_uring", "io_uring_setup, enter, register", SUCCEEDED, reports=True),
    row("memory_policy", "mbind, move_pages, personality", SUCCEEDED, reports=True),
    row("high_bits", "arguments with bits that the kernel drops", SUCCEEDED, reports=True),
    row("entry_32_bit", "int 0x80 and x32", SUCCEEDED, reports=True),
    row("system_control", "clock_settime, reboot, swapon, init_module, kexec", SUCCEEDED,
        reports=True),
    row("kernel_switches", "sysrq, core_pattern, /sys, release_agent", SUCCEEDED, reports=True),
    row("kernel_memory", "/proc/kcore, kmsg, disks, device files", SUCCEEDED, reports=True),
    row("terminal_input", "TIOCSTI", SUCCEEDED, reports=True),
)

NETWORK = (
    row("raw_sockets", "raw and packet sockets", SUCCEEDED, reports=True),
    row("socket_families", "AF_ALG, AF_VSOCK, AF_NETLINK, all others", SUCCEEDED, reports=True),
    row("connect_out", "metadata, gateway, host ports, the world", SUCCEEDED, reports=True),
    row("resolve_names", "DNS", SUCCEEDED, reports=True),
    row("local_sockets", "docker.sock and other sockets", SUCCEEDED, reports=True),
)

RIGHTS = (
    row("other_environments", "other processes, secrets in its environment", SUCCEEDED,
        checks=(checks.no_secret_in_output,), reports=True),
    row("setuid_and_capabilities", "set-id files, file capabilities, setuid(0)", SUCCEEDED,
        memory_mb=128, storage_mb=64, reports=True),
    row("execute_files", "executes from /tmp, /dev/shm, /workspace, memfd", SUCCEEDED,
        memory_mb=128, storage_mb=64,
        granted=dict.fromkeys(("standard", "privileged"), ("/workspace", "memfd")),
        why_granted="compiled extensions need it; what starts is as confined as its parent",
        reports=True),
)
# fmt: on

CASES = (*RESOURCES, *OUTPUT, *ARTIFACTS, *SUPERVISOR, *KERNEL, *NETWORK, *RIGHTS)
