"""What is received. Fields that this version does not know are ignored, never an error.

Words of a closed vocabulary may grow on the server; an unknown one arrives as a plain string.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from agentcore_client.types import NetworkAccess, decoded


class Status(StrEnum):
    """Where an execution stands; all but the first two are outcomes and never change."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    LOST = "lost"


_LIVE = (Status.QUEUED, Status.RUNNING)
OpenStatus = Annotated[Status | str, Field(union_mode="left_to_right")]
OpenNetworkAccess = Annotated[NetworkAccess | str, Field(union_mode="left_to_right")]


class Response(BaseModel):
    """Base of what is received: frozen; `raw` is the very JSON object that the server sent."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON object as it was sent, with fields that this version does not know."""
        return self._raw

    @classmethod
    def parsed(cls, raw: dict[str, Any]) -> Self:
        """Return `raw` as a model that remembers it. Raises pydantic's ValidationError."""
        model = cls.model_validate(raw)
        model._raw = raw
        return model


class Stream(Response):
    """What was kept of one output stream: its head and its tail, and its true size."""

    text: str
    base64: str | None = None
    total_bytes: int
    truncated: bool

    @property
    def data(self) -> bytes:
        """The kept bytes. They are the program's words: hostile to a terminal."""
        if self.base64 is not None:
            return decoded(self.base64, "base64")
        return decoded(self.text, "utf-8")


class Usage(Response):
    """Resources that an execution used, measured."""

    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


class NetworkUse(Response):
    """What an execution did on its restricted network."""

    requests: int
    denied: int
    bytes_up: int
    bytes_down: int
    outcomes: dict[str, int] = Field(default_factory=dict)


class BatchSummary(Response):
    """How many runs a batch has, and how many have ended in which way; None: not told."""

    inputs: int
    succeeded: int | None = None
    failed: int | None = None
    timed_out: int | None = None

    @property
    def ended(self) -> int:
        """How many runs have a result."""
        return (self.succeeded or 0) + (self.failed or 0) + (self.timed_out or 0)


class EffectiveLimits(Response):
    """The limits in force: MiB, cores, seconds and counts."""

    memory_mb: int
    cpu_cores: float
    execution_time_seconds: float
    processes: int
    file_descriptors: int
    storage_mb: int
    network_requests: int


class ArtifactInfo(Response):
    """A file that the program left in its output folder; `path` is the program's choice."""

    path: str
    size: int
    sha256: str


class Execution(Response):
    """An execution: what was asked, where it stands, how it ended."""

    id: UUID
    status: OpenStatus
    reason: str | None = None
    attempt: int = 0
    agent: str | None = None
    agent_version: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    labels: dict[str, str]
    priority: int
    security_profile: str
    image: str
    network_access: OpenNetworkAccess
    limits: EffectiveLimits
    max_attempts: int
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    stdout: Stream | None = None
    stderr: Stream | None = None
    result: Any = None
    artifacts: tuple[ArtifactInfo, ...] = ()
    warnings: tuple[str, ...] = ()
    usage: Usage = Field(default_factory=Usage)
    network: NetworkUse | None = None
    batch: BatchSummary | None = None
    isolation: dict[str, Any] | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the status is an outcome that never changes again."""
        if isinstance(self.status, Status):
            return self.status not in _LIVE
        return self.finished_at is not None

    @property
    def succeeded(self) -> bool:
        """Whether the program ran to its end and exited with 0."""
        return self.status == Status.SUCCEEDED


class InputResult(Response):
    """How the run over one input of a batch ended; `index` counts the inputs from 0."""

    index: int
    attempt: int
    status: OpenStatus
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    stdout: Stream
    stderr: Stream
    result: Any = None
    result_truncated: bool = False
    wall_seconds: float | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the run came to its end and exited with 0."""
        return self.status == Status.SUCCEEDED


class ResultPage(Response):
    """Results of a batch in the order of their inputs; `next` is the `after` of the next page."""

    items: tuple[InputResult, ...]
    next: int
    complete: bool


class ResultsEnd(Response):
    """The last line of a stream of results."""

    next: int
    complete: bool
    detail: str | None = None


class ExecutionPage(Response):
    """One page of executions, newest first, without their output and artifacts."""

    items: tuple[Execution, ...]
    next_cursor: str | None = None


class AuditEvent(Response):
    """One event of an execution's hash chain; `recorded_at_us` in microseconds since 1970."""

    execution_id: UUID
    sequence: int
    kind: str
    recorded_at_us: int
    data: dict[str, Any]
    hash: str
    previous_hash: str


class AuditTrail(Response):
    """All events of an execution in order, and the server's verdict on the chain."""

    items: tuple[AuditEvent, ...]
    intact: bool
    broken_at: int | None = None

    @property
    def first_broken(self) -> int | None:
        """Sequence number where the chain breaks, by the server's check or by its links."""
        if not self.intact:
            return self.broken_at if self.broken_at is not None else 1
        for position, event in enumerate(self.items):
            linked = position == 0 or event.previous_hash == self.items[position - 1].hash
            if event.sequence != position + 1 or not linked:
                return event.sequence
        return None


class ArtifactList(Response):
    """The files that an execution left behind."""

    items: tuple[ArtifactInfo, ...]


class AgentVersion(Response):
    """One version of a stored agent; `AgentConfig.model_validate(config)` gives it typed."""

    name: str
    version: int
    config: dict[str, Any]
    created_at: datetime


class AgentSummary(Response):
    """The newest version of a stored agent, without its configuration."""

    name: str
    version: int
    created_at: datetime
    description: str = ""


class AgentList(Response):
    """One page of the tenant's stored agents, by name."""

    items: tuple[AgentSummary, ...]
    next_cursor: str | None = None


class ProfileInfo(Response):
    """A named set of sandbox rules and whether the operator enabled it; None: not told."""

    profile_name: str
    enabled: bool
    seccomp_profile: str = ""
    apparmor_profile: str = ""
    allowed_capabilities: tuple[str, ...] = ()
    read_only_filesystem: bool | None = None
    no_new_privileges: bool | None = None
    user_namespace: bool | None = None
    allowed_syscalls: tuple[str, ...] = ()
    blocked_syscalls: tuple[str, ...] = ()
    network_default: OpenNetworkAccess | None = None
    restricted_python_default: bool | None = None
    description: str = ""


class ProfileList(Response):
    """The security profiles that the server knows."""

    items: tuple[ProfileInfo, ...]
