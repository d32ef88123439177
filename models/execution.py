"""A request to execute something, and what is told of the execution afterwards."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from models.agent import Runnable
from models.batch import BatchSummary, StandardInput
from models.limits import EffectiveLimits, NetworkAccess
from models.security import ProfileName
from models.state import AgentExecutionState, PhilosophyExecutionContext
from models.tool import ToolExecutionRequest
from models.types import Contract, Label, LabelName, Name, at_most

MAX_PRIORITY = 9  # RabbitMQ and the Redis transport both take ten steps


class ExecutionRequest(Runnable, StandardInput):
    """One execution: source, a command, or a stored agent by name."""

    agent: Name | None = Field(None, description="A stored agent; fields given here win")
    agent_version: int | None = Field(None, ge=1, le=2**31 - 1, description="Newest when left out")
    tool: ToolExecutionRequest | None = Field(None, description="Run one tool of the agent")
    context: PhilosophyExecutionContext | None = None
    labels: Annotated[dict[LabelName, Label], at_most(32)] = Field(
        default_factory=dict, max_length=32
    )
    priority: int = Field(4, ge=0, le=MAX_PRIORITY, description="9 runs first")

    @model_validator(mode="after")
    def _check_request(self) -> Self:
        given = [self.source is not None, self.command is not None, self.agent is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of source, command and agent")
        if self.agent is None and (self.tool is not None or self.agent_version is not None):
            raise ValueError("tool and agent_version go with agent")
        if self.tool is not None and self.stdin:
            raise ValueError("tool takes no stdin: its arguments are the standard input")
        if self.tool is not None and self.inputs is not None:
            raise ValueError("tool takes no inputs: its arguments are the standard input")
        return self


class Stream(Contract):
    """What was kept of one output stream: its head and its tail, and its true size."""

    text: str = Field(description="UTF-8; bytes that are not are shown as U+FFFD")
    base64: str | None = Field(None, description="The kept bytes, when they are not UTF-8")
    total_bytes: int = Field(ge=0, description="What the program wrote")
    truncated: bool


class Usage(Contract):
    """Resources that an execution used, measured."""

    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


class NetworkUse(Contract):
    """What an execution did on its restricted network; each decision is an audit event."""

    requests: int = Field(ge=0, description="Connections and plain HTTP requests that were counted")
    denied: int = Field(ge=0, description="Refused, before a byte went out")
    bytes_up: int = Field(ge=0)
    bytes_down: int = Field(ge=0)
    outcomes: dict[str, int] = Field(default_factory=dict, description="Decisions by reason")


class ArtifactInfo(Contract):
    """A file that the program left under /workspace/output."""

    path: str
    size: int
    sha256: str


class Execution(AgentExecutionState):
    """An execution as the API shows it."""

    labels: dict[str, str]
    priority: int
    security_profile: ProfileName
    image: str
    network_access: NetworkAccess
    limits: EffectiveLimits
    max_attempts: int
    exit_code: int | None = None
    signal: int | None = Field(None, description="Number of the signal that ended the program")
    message: str | None = Field(None, description="The outcome in a sentence")
    stdout: Stream | None = None
    stderr: Stream | None = None
    result: Any = Field(None, description="Content of /workspace/output/result.json, if any")
    artifacts: tuple[ArtifactInfo, ...] = ()
    warnings: tuple[str, ...] = ()
    usage: Usage = Field(default_factory=Usage)
    network: NetworkUse | None = Field(None, description="Where allowed_hosts were given")
    batch: BatchSummary | None = Field(None, description="Where inputs were given")
    isolation: dict[str, Any] | None = Field(
        None, description="What was in force, read off the running sandbox before user code ran"
    )


class ExecutionPage(Contract):
    """One page of executions, newest first."""

    items: tuple[Execution, ...]
    next_cursor: str | None = None


class AuditEvent(Contract):
    """One event of an execution's hash chain."""

    execution_id: UUID
    sequence: int
    kind: str
    recorded_at_us: int = Field(description="Microseconds since 1970-01-01T00:00:00Z")
    data: dict[str, Any]
    hash: str
    previous_hash: str
