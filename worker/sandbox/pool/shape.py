"""What of a sandbox is settled once it has started, and what can still be changed."""

from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

from models.limits import NetworkAccess
from models.sandbox import SandboxConfig
from models.security import LayerMode, SecurityProfile
from worker.sandbox.container import CPU_PERIOD, descriptor_limit, process_limit


@dataclass(frozen=True, kw_only=True)
class Shape:
    """All that the engine cannot change of a started container: only an equal one can serve."""

    image_reference: str
    profile: SecurityProfile
    apparmor: LayerMode
    user_namespace: LayerMode
    full_network: LayerMode
    permitted_syscalls: tuple[str, ...]
    network_access: NetworkAccess
    uses_egress_proxy: bool
    storage_mb: int
    descriptors: int

    @classmethod
    def of(cls, spec: SandboxConfig) -> Self:
        """Return the shape that a sandbox for `spec` must have."""
        return cls(
            image_reference=spec.image_reference,
            profile=spec.profile,
            apparmor=spec.apparmor,
            user_namespace=spec.user_namespace,
            full_network=spec.full_network,
            permitted_syscalls=spec.permitted_syscalls,
            # Without hosts to reach, `restricted` has as much network as `none`.
            network_access=_network(spec),
            uses_egress_proxy=spec.uses_egress_proxy,
            storage_mb=spec.limits.storage_mb,
            descriptors=descriptor_limit(spec),
        )

    def __str__(self) -> str:
        return f"{self.image_reference} {self.profile.profile_name} {self.network_access}"


def _network(spec: SandboxConfig) -> NetworkAccess:
    if spec.network_access is NetworkAccess.RESTRICTED and not spec.uses_egress_proxy:
        return NetworkAccess.NONE
    return spec.network_access


def without_job(spec: SandboxConfig) -> SandboxConfig:
    """Return the sandbox of `spec` with nothing of its execution, to be started ahead of one."""
    return spec.model_copy(
        update={
            "execution_id": uuid4(),
            "attempt": 0,
            "max_attempts": 1,
            "argv": (),
            "environment": {},
            "files": {},
            "stdin": b"",
            "inputs": (),
            # Whether there is any decides what is mounted; which, the proxy is told with the job.
            "allowed_hosts": spec.allowed_hosts[:1],
        }
    )


def changeable(spec: SandboxConfig) -> dict[str, int]:
    """Return the limits that can be changed, by the names that the engine's update call has."""
    memory = spec.limits.memory_mb * 1024 * 1024
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "CpuPeriod": CPU_PERIOD,
        "CpuQuota": round(spec.limits.cpu_cores * CPU_PERIOD),
        "PidsLimit": process_limit(spec),
    }


def differing(started: SandboxConfig, wanted: SandboxConfig) -> dict[str, Any]:
    """Return the changes that make a started sandbox the wanted one; empty when it is."""
    limits = changeable(wanted)
    return {} if limits == changeable(started) else limits
