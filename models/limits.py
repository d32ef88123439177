"""Limits of a container and of one execution; the tighter of the two holds."""

from enum import StrEnum

from pydantic import Field

from models.types import Contract

MAX_CONTAINER_SECONDS = 86_400  # a day; the operator's ceiling is far lower by default


class NetworkAccess(StrEnum):
    """How far a sandbox's network reaches, from least to most."""

    NONE = "none"
    RESTRICTED = "restricted"
    FULL = "full"


class ResourceLimits(Contract):
    """What the container as a whole may use."""

    max_memory_mb: int = Field(512, ge=32, le=1_048_576, description="MiB, swap excluded")
    max_cpu_cores: float = Field(1.0, ge=0.05, le=1024, description="Cores; fractions allowed")
    max_execution_time_seconds: float = Field(300, ge=0.1, le=MAX_CONTAINER_SECONDS)
    max_file_descriptors: int = Field(100, ge=16, le=1_048_576)
    storage_quota_mb: int = Field(1024, ge=4, le=1_048_576, description="MiB, /workspace and /tmp")
    network_access: NetworkAccess = Field(
        NetworkAccess.RESTRICTED,
        description="When left out, the default of the security profile applies",
    )


class ExecutionLimits(Contract):
    """What one execution may use."""

    max_execution_time_seconds: float = Field(
        30, ge=0.1, le=MAX_CONTAINER_SECONDS, description="Wall-clock seconds of the program"
    )
    max_memory_mb: int = Field(256, ge=32, le=1_048_576, description="MiB, swap excluded")
    max_cpu_percent: float = Field(50.0, ge=5, le=102_400, description="Percent of one core")
    max_processes: int = Field(10, ge=1, le=32_768, description="Processes and threads at once")
    max_file_descriptors: int = Field(50, ge=16, le=1_048_576)
    max_network_requests: int = Field(100, ge=0, le=1_000_000)


class EffectiveLimits(Contract):
    """The limits in force: of each pair the tighter."""

    memory_mb: int
    cpu_cores: float
    execution_time_seconds: float
    processes: int
    file_descriptors: int
    storage_mb: int
    network_requests: int


def tighter(resource: ResourceLimits, execution: ExecutionLimits) -> EffectiveLimits:
    """Combine both kinds of limits; of two that were asked for, or of two defaults, the smaller.

    What was asked for in one group is not overruled by a default of the other.
    """
    seconds = "max_execution_time_seconds"
    return EffectiveLimits(
        memory_mb=int(_tighter(resource, execution, "max_memory_mb", "max_memory_mb")),
        cpu_cores=_tighter(resource, execution, "max_cpu_cores", "max_cpu_percent", per=100),
        execution_time_seconds=_tighter(resource, execution, seconds, seconds),
        processes=execution.max_processes,
        file_descriptors=int(
            _tighter(resource, execution, "max_file_descriptors", "max_file_descriptors")
        ),
        storage_mb=resource.storage_quota_mb,
        network_requests=execution.max_network_requests,
    )


def _tighter(
    resource: ResourceLimits, execution: ExecutionLimits, first: str, second: str, per: float = 1
) -> float:
    one, other = getattr(resource, first), getattr(execution, second) / per
    asked = [
        value
        for value, given in (
            (one, first in resource.model_fields_set),
            (other, second in execution.model_fields_set),
        )
        if given
    ]
    return float(min(asked or (one, other)))
