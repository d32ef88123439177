"""What a sandbox is asked to be and what comes out of it; both travel, neither changes."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from models.limits import EffectiveLimits, NetworkAccess
from models.resolve import Effective, ResolvedRequest
from models.security import LayerMode, SecurityProfile
from models.settings import Settings
from models.status import Reason, Status
from models.types import Contract

MAX_ARTIFACT_DEPTH = 8  # folders below /workspace/output


class SandboxConfig(Contract):
    """One sandbox for one attempt of one execution."""

    execution_id: UUID
    attempt: int
    max_attempts: int = 1
    image_reference: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    files: dict[str, bytes]
    stdin: bytes
    profile: SecurityProfile
    apparmor: LayerMode
    user_namespace: LayerMode
    full_network: LayerMode = "prefer"
    permitted_syscalls: tuple[str, ...] = ()
    restricted_python: bool = False
    limits: EffectiveLimits
    network_access: NetworkAccess
    allowed_hosts: tuple[str, ...] = ()
    egress_ceiling: tuple[str, ...] | None = None
    egress_deny: tuple[str, ...] = ()
    inputs: tuple[bytes, ...] = ()  # of a batch: the standard input of each run
    input_timeout_seconds: float = 0  # of one run of a batch
    input_max_output_bytes: int = 0  # kept of each output stream of one run of a batch
    max_output_bytes: int
    max_output_total_bytes: int
    max_artifacts: int
    max_artifact_bytes: int
    max_artifacts_bytes: int

    @property
    def allow_network(self) -> bool:
        """Whether the sandbox reaches anything outside itself."""
        return self.network_access is NetworkAccess.FULL or self.uses_egress_proxy

    @property
    def uses_egress_proxy(self) -> bool:
        """Whether the sandbox gets a socket to the proxy, which knows what it may reach."""
        return self.network_access is NetworkAccess.RESTRICTED and bool(self.allowed_hosts)


def build_spec(
    execution_id: UUID,
    attempt: int,
    request: ResolvedRequest,
    effective: Effective,
    settings: Settings,
) -> SandboxConfig:
    """Return the sandbox for a resolved request; a pure function."""
    files = {file.path: file.data for file in request.files}
    argv = request.command
    if argv is None:
        files["main.py"] = (request.source or "").encode()
        argv = ("python3", "main.py", *request.args)
    if request.context is not None:
        files["context.json"] = json.dumps(request.context.model_dump(mode="json")).encode()
    return SandboxConfig(
        execution_id=execution_id,
        attempt=attempt,
        max_attempts=request.max_attempts,
        image_reference=effective.image_reference,
        argv=argv,
        environment={"AGENTCORE_EXECUTION_ID": str(execution_id), **request.environment},
        files=files,
        stdin=request.stdin_data,
        profile=effective.profile,
        apparmor=settings.apparmor,
        user_namespace=settings.user_namespace,
        full_network=settings.full_network,
        permitted_syscalls=settings.extra_syscalls,
        restricted_python=effective.restricted_python,
        limits=effective.limits,
        network_access=effective.network_access,
        allowed_hosts=request.allowed_hosts,
        egress_ceiling=settings.egress_ceiling,
        egress_deny=settings.egress_deny,
        **_batch(request, effective, settings),
        max_output_bytes=settings.max_output_bytes,
        max_output_total_bytes=settings.max_output_total_bytes,
        max_artifacts=settings.max_artifacts,
        max_artifact_bytes=settings.max_artifact_bytes,
        max_artifacts_bytes=settings.max_artifacts_bytes,
    )


def _batch(request: ResolvedRequest, effective: Effective, settings: Settings) -> dict[str, Any]:
    """Return the inputs and the limits of one run: the tighter holds, as everywhere."""
    if request.inputs is None:
        return {}
    return {
        "inputs": request.inputs_data,
        "input_timeout_seconds": min(
            request.input_timeout_seconds, effective.limits.execution_time_seconds
        ),
        "input_max_output_bytes": min(request.input_max_output_bytes, settings.max_output_bytes),
    }


@dataclass(frozen=True, kw_only=True)
class CapturedStream:
    """What was kept of one output stream; `total_bytes` counts all that was written."""

    kept: bytes = b""
    total_bytes: int = 0
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class ArtifactContent:
    """One file that the program left in its output folder."""

    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class InputOutcome:
    """How one run of a batch ended; `status` is succeeded, failed or timed_out."""

    index: int
    status: Status
    reason: Reason | None = None
    exit_code: int | None = None
    signal: int | None = None
    stdout: CapturedStream = field(default_factory=CapturedStream)
    stderr: CapturedStream = field(default_factory=CapturedStream)
    result: str | None = None  # what the run left as output/result.json, as text
    wall_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one attempt ended; everything in it that the program could choose is bounded."""

    status: Status
    reason: Reason | None = None
    message: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    stdout: CapturedStream = field(default_factory=CapturedStream)
    stderr: CapturedStream = field(default_factory=CapturedStream)
    result: str | None = None
    artifacts: tuple[ArtifactContent, ...] = ()
    warnings: tuple[str, ...] = ()
    usage: dict[str, float | int | None] = field(default_factory=dict)
    isolation: dict[str, Any] | None = None
    batch: dict[str, int] | None = None  # runs by how they ended, and `inputs`, how many there were
    network: dict[str, Any] | None = None  # totals, as models.execution.NetworkUse
    network_events: tuple[dict[str, Any], ...] = ()  # data of audit events
