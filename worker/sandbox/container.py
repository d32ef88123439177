"""From a SandboxConfig to the engine's create call: every hardening option in one place."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.types import LogConfig, Mount, Ulimit

import security_profiles
from models.limits import NetworkAccess
from models.sandbox import SandboxConfig
from models.security import SecurityProfile
from worker.sandbox.full_network import NETWORK
from worker.sandbox.guest.forwarder import MAX_CONNECTIONS
from worker.sandbox.guest.protocol import EGRESS_FOLDER

USER = "1000:1000"
ENTRYPOINT = ["python3", "-I", "-S", "/usr/local/lib/agentcore/guest/__main__.py"]
CPU_PERIOD = 100_000  # microseconds, the kernel's default
SUPERVISOR_PROCESSES = 1  # beside the program's own in the pids cgroup
SUPERVISOR_DESCRIPTORS = 16  # what the supervisor itself opens
INTERPRETER_PROCESSES = 1  # what the runs of a batch are forked from
FORWARDER_PROCESSES = 1  # the guest's forwarder, where a sandbox may reach hosts
FORWARDER_DESCRIPTORS = 2 * MAX_CONNECTIONS + 8  # of one process too, and it has no other limit
INODES_PER_MB = 64  # files that a tmpfs may hold, for each MiB of its size
SHM_MB = 16  # MiB of /dev/shm, for multiprocessing; counted as the sandbox's memory
OOM_SCORE = 500  # the host gives up a sandbox before its own services

FALLBACK = "docker-default"  # AppArmor rules of the engine itself, where ours are not loaded

LABEL = "dev.agentcore."
LABEL_DEPLOYMENT = LABEL + "deployment"
LABEL_EXECUTION = LABEL + "execution"
LABEL_ATTEMPT = LABEL + "attempt"
LABEL_WORKER = LABEL + "worker"
LABEL_DEADLINE = LABEL + "deadline"  # seconds since the epoch
LABEL_WARM = LABEL + "warm"  # in place of execution and attempt: started ahead of its job


def create_arguments(
    api: APIClient,
    spec: SandboxConfig,
    labels: dict[str, str],
    engine_options: frozenset[str],
    *,
    name: str | None = None,
    own_apparmor: bool = True,
    egress_folder: Path | None = None,
) -> dict[str, Any]:
    """Return the arguments of `create_container`; nothing is left to the engine's defaults.

    `name` is the attempt's, unless given. `own_apparmor` is false when the engine has refused our
    AppArmor profile: it is not loaded. `egress_folder` is the folder of the host with
    the socket to this sandbox's egress proxy.
    """
    return {
        "image": spec.image_reference,
        "name": name or attempt_name(spec),
        "entrypoint": ENTRYPOINT,
        "command": [],
        "user": USER,
        "hostname": "sandbox",
        "working_dir": "/workspace",
        "stdin_open": True,
        "tty": False,
        "labels": labels,
        "healthcheck": {"test": ["NONE"]},
        "host_config": _host_config(api, spec, engine_options, own_apparmor, egress_folder),
    }


def attempt_name(spec: SandboxConfig) -> str:
    """Return the name of an attempt's container."""
    return f"{attempts_prefix(spec)}{spec.attempt}"


def attempts_prefix(spec: SandboxConfig) -> str:
    """Return how the names of the containers of all attempts of this execution begin."""
    return f"agentcore-{spec.execution_id}-"


def process_limit(spec: SandboxConfig) -> int:
    """Return the limit of the pids cgroup: the program's own, and what stands beside it."""
    beside = SUPERVISOR_PROCESSES + (FORWARDER_PROCESSES if spec.uses_egress_proxy else 0)
    beside += INTERPRETER_PROCESSES if spec.inputs else 0
    return spec.limits.processes + beside


def descriptor_limit(spec: SandboxConfig) -> int:
    """Return how many files one process may open; the program gets a lower limit of its own."""
    own = spec.limits.file_descriptors + SUPERVISOR_DESCRIPTORS
    return max(own, FORWARDER_DESCRIPTORS) if spec.uses_egress_proxy else own


def mounts(egress_folder: Path | None) -> list[Mount]:
    """Return what a sandbox sees of the host: at most the folder of its egress proxy.

    A mount and no bind: of a bind the engine would make a folder that is not there, for root.
    """
    if egress_folder is None:
        return []
    return [Mount(EGRESS_FOLDER, str(egress_folder), type="bind", read_only=True)]


def _host_config(
    api: APIClient,
    spec: SandboxConfig,
    engine_options: frozenset[str],
    own_apparmor: bool,
    egress_folder: Path | None,
) -> dict[str, Any]:
    limits, profile = spec.limits, spec.profile
    full = spec.network_access is NetworkAccess.FULL
    memory = limits.memory_mb * 1024 * 1024
    descriptors = descriptor_limit(spec)
    config: dict[str, Any] = api.create_host_config(
        network_mode=NETWORK if full else "none",
        # By TCP: the AppArmor profiles give a program streams and no datagrams.
        dns_opt=["use-vc"] if full else None,
        mounts=mounts(egress_folder),
        ipc_mode="private",
        read_only=profile.read_only_filesystem,
        cap_drop=["ALL"],
        cap_add=list(profile.allowed_capabilities),
        security_opt=_security_options(spec, engine_options, own_apparmor),
        mem_limit=memory,
        memswap_limit=memory,  # equal to the memory limit: no swap
        cpu_period=CPU_PERIOD,
        cpu_quota=round(limits.cpu_cores * CPU_PERIOD),
        pids_limit=process_limit(spec),
        ulimits=[
            Ulimit(name="nofile", soft=descriptors, hard=descriptors),
            Ulimit(name="core", soft=0, hard=0),
            # Queues of /dev/mqueue count for the user, whom all sandboxes of the host share.
            Ulimit(name="msgqueue", soft=0, hard=0),
        ],
        tmpfs=tmpfs(spec),
        shm_size=SHM_MB * 1024 * 1024,
        oom_score_adj=OOM_SCORE,
        log_config=LogConfig(type=LogConfig.types.NONE),
        restart_policy={"Name": "no"},
        init=False,
    )
    return config


def tmpfs(spec: SandboxConfig) -> dict[str, str]:
    """Return the writable folders and the mount options of each."""
    # The quota covers both: three quarters for the workspace, one for /tmp.
    workspace, temporary = spec.limits.storage_mb * 3 // 4, spec.limits.storage_mb // 4
    execute = "noexec" if spec.profile.profile_name == "minimal" else "exec"
    return {
        "/workspace": f"rw,nosuid,nodev,{execute},uid=1000,gid=1000,mode=0700,"
        f"size={workspace}m,nr_inodes={workspace * INODES_PER_MB}",
        "/tmp": f"rw,nosuid,nodev,noexec,mode=1777,"  # noqa: S108 - a tmpfs of its own
        f"size={temporary}m,nr_inodes={temporary * INODES_PER_MB}",
        # Over the engine's own, which holds as many files as the host has memory for.
        "/dev/shm": f"rw,nosuid,nodev,noexec,mode=1777,"  # noqa: S108 - a tmpfs of its own
        f"size={SHM_MB}m,nr_inodes={SHM_MB * INODES_PER_MB}",
    }


def _security_options(
    spec: SandboxConfig, engine_options: frozenset[str], own_apparmor: bool
) -> list[str]:
    options = [f"seccomp={seccomp_text(spec)}"]
    if spec.profile.no_new_privileges:
        options.append("no-new-privileges:true")
    if spec.apparmor != "off" and "apparmor" in engine_options:
        options.append(f"apparmor={_apparmor(spec.profile) if own_apparmor else FALLBACK}")
    return options


def _apparmor(profile: SecurityProfile) -> str:
    name = apparmor_name(profile)
    loaded = security_profiles.loaded_profiles()
    # Whoever may not read the list asks by name, and is told when the container starts.
    unknown = loaded is None or not name.startswith("agentcore-")
    return name if unknown or name in (loaded or ()) else FALLBACK


def apparmor_name(profile: SecurityProfile) -> str:
    """Return the name by which the kernel knows the profile's AppArmor rules."""
    return security_profiles.apparmor_kernel_name(profile.profile_name, profile.apparmor_profile)


def seccomp_text(spec: SandboxConfig) -> str:
    """Return the seccomp filter of a sandbox as the JSON that the engine is given."""
    profile = spec.profile
    return _rendered_seccomp(
        profile.profile_name,
        profile.allowed_syscalls,
        profile.blocked_syscalls,
        spec.permitted_syscalls,
    )


@lru_cache(maxsize=64)
def _rendered_seccomp(
    name: str, allowed: tuple[str, ...], blocked: tuple[str, ...], permitted: tuple[str, ...]
) -> str:
    rendered = security_profiles.render_seccomp(
        name, allowed_syscalls=allowed, blocked_syscalls=blocked, permitted=permitted
    )
    return json.dumps(rendered, separators=(",", ":"))
