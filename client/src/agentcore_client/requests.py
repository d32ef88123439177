"""What is sent: executions and agents.

Only the fields that were given go over the wire (see `body`), for the server tells a field left
out from one that repeats a default: a stored agent's or a profile's own value wins over the
former and not over the latter.
"""

from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from agentcore_client.types import (
    AgentPhilosophy,
    AllowedHost,
    AppArmorName,
    Argument,
    CapabilityName,
    Encoding,
    EnvironmentName,
    Label,
    LabelName,
    Name,
    NetworkAccess,
    ProfileName,
    Request,
    SyscallName,
    Text,
    WorkspacePath,
    encoded,
)

MAX_SOURCE_CHARS = 1_048_576  # characters of one program
MAX_DATA_BYTES = 2_097_152  # bytes of standard input, or of one input file
MAX_DATA_CHARS = MAX_DATA_BYTES * 4 // 3 + 4  # characters of the same in base64
MAX_INPUTS = 10_000  # runs of one batch
MAX_INPUT_BYTES = 65_536  # bytes of one input, and kept of each output stream of its run
MAX_INPUT_CHARS = MAX_INPUT_BYTES * 4 // 3 + 4  # characters of an input in base64
MAX_SECONDS = 86_400  # seconds; the operator's ceiling is far lower by default

Input = Annotated[Text, StringConstraints(max_length=MAX_INPUT_CHARS)]


class ResourceLimits(Request):
    """What the container as a whole may use."""

    max_memory_mb: int = Field(512, ge=32, le=1_048_576, description="MiB, swap excluded")
    max_cpu_cores: float = Field(1.0, ge=0.05, le=1024, description="Cores; fractions allowed")
    max_execution_time_seconds: float = Field(300, ge=0.1, le=MAX_SECONDS)
    max_file_descriptors: int = Field(100, ge=16, le=1_048_576)
    storage_quota_mb: int = Field(1024, ge=4, le=1_048_576, description="MiB, /workspace and /tmp")
    network_access: NetworkAccess = Field(
        NetworkAccess.RESTRICTED, description="When left out, the security profile's default"
    )


class ExecutionLimits(Request):
    """What one execution may use; where both kinds speak of the same, the tighter holds."""

    max_execution_time_seconds: float = Field(30, ge=0.1, le=MAX_SECONDS, description="Wall clock")
    max_memory_mb: int = Field(256, ge=32, le=1_048_576, description="MiB, swap excluded")
    max_cpu_percent: float = Field(50.0, ge=5, le=102_400, description="Percent of one core")
    max_processes: int = Field(10, ge=1, le=32_768, description="Processes and threads at once")
    max_file_descriptors: int = Field(50, ge=16, le=1_048_576)
    max_network_requests: int = Field(100, ge=0, le=1_000_000)


class SecurityOptions(Request):
    """Changes to the named security profile; what is left out stays as the profile has it."""

    allowed_syscalls: tuple[SyscallName, ...] = Field(
        (), max_length=500, description="Added to the profile's calls"
    )
    blocked_syscalls: tuple[SyscallName, ...] = Field(
        (), max_length=500, description="Taken from the profile's calls"
    )
    allowed_capabilities: tuple[CapabilityName, ...] = Field(
        (), max_length=41, description="Added to the bounding set, as in NET_RAW"
    )
    read_only_filesystem: bool | None = Field(None, description="Of the root file system")
    no_new_privileges: bool | None = None
    apparmor_profile: AppArmorName | None = None


class InputFile(Request):
    """A file to place under /workspace before the program starts."""

    path: WorkspacePath
    content: Text = Field(max_length=MAX_DATA_CHARS)
    encoding: Encoding = "utf-8"

    @classmethod
    def from_bytes(cls, path: str, data: bytes) -> Self:
        """Return a file of any bytes; what is not text travels as base64."""
        content, encoding = encoded(data)
        return cls(path=path, content=content, encoding=encoding)


class ToolDefinition(Request):
    """A tool of an agent: a Python program that reads its arguments as JSON from stdin."""

    name: Name
    description: Text = Field("", max_length=4096)
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=256, description="JSON Schema of the arguments"
    )
    source: Text = Field(min_length=1, max_length=MAX_SOURCE_CHARS)


class ToolExecutionRequest(Request):
    """Run one tool of a stored agent with these arguments."""

    name: Name
    arguments: dict[str, JsonValue] = Field(default_factory=dict, max_length=256)


class PhilosophyExecutionContext(Request):
    """What the program is told of the run it is part of: /workspace/context.json."""

    philosophy: AgentPhilosophy | None = Field(
        None, description="When left out, that of the stored agent"
    )
    goal: Text = Field("", max_length=16_384)
    step: int = Field(0, ge=0, le=1_000_000)
    max_steps: int | None = Field(None, ge=1, le=1_000_000)
    memory: dict[str, JsonValue] = Field(default_factory=dict, max_length=256)


class Runnable(Request):
    """What a stored agent and an execution request share."""

    source: Text | None = Field(
        None, min_length=1, max_length=MAX_SOURCE_CHARS, description="Python source to run"
    )
    command: tuple[Argument, ...] | None = Field(
        None, min_length=1, max_length=256, description="Program and arguments, without a shell"
    )
    args: tuple[Argument, ...] = Field((), max_length=256, description="Arguments after the source")
    environment: dict[EnvironmentName, Argument] = Field(default_factory=dict, max_length=256)
    files: tuple[InputFile, ...] = Field((), max_length=64)
    image: Name = Field("python", description="A name of the operator's image catalogue")
    security_profile: ProfileName = "standard"
    security_options: SecurityOptions = Field(
        default_factory=SecurityOptions, description="Changes to the security profile"
    )
    resource_limits: ResourceLimits = Field(default_factory=ResourceLimits)
    execution_limits: ExecutionLimits = Field(default_factory=ExecutionLimits)
    allowed_hosts: tuple[AllowedHost, ...] = Field(
        (), max_length=100, description="What network_access=restricted may reach"
    )
    restricted_python: bool | None = Field(
        None, description="RestrictedPython: a policy, not a boundary; None: the profile's default"
    )
    max_attempts: int = Field(
        1, ge=1, le=10, description="How often user code may be started if a worker is lost"
    )

    def body(self) -> dict[str, Any]:
        """Return the JSON object to send: the given fields and no others."""
        return self.model_dump(mode="json", exclude_unset=True)


class AgentConfig(Runnable):
    """The complete configuration of a stored agent; every change makes a new version."""

    description: Text = Field("", max_length=4096)
    philosophy: AgentPhilosophy = AgentPhilosophy.REACT
    tools: tuple[ToolDefinition, ...] = Field((), max_length=64)


class ExecutionRequest(Runnable):
    """One execution: source, a command, or a stored agent by name."""

    agent: Name | None = Field(None, description="A stored agent; fields given here win")
    agent_version: int | None = Field(None, ge=1, le=2**31 - 1, description="Newest when left out")
    tool: ToolExecutionRequest | None = Field(None, description="Run one tool of the agent")
    stdin: Text = Field("", max_length=MAX_DATA_CHARS)
    stdin_encoding: Encoding = Field("utf-8", description="Of stdin, or of all inputs")
    inputs: tuple[Input, ...] | None = Field(
        None,
        min_length=1,
        max_length=MAX_INPUTS,
        description="A batch: the program runs once for each, with it as its standard input",
    )
    input_timeout_seconds: float = Field(
        10, ge=0.1, le=MAX_SECONDS, description="Wall clock of one run of a batch"
    )
    input_max_output_bytes: int = Field(
        4096, ge=1, le=MAX_INPUT_BYTES, description="Kept of each stream of one run of a batch"
    )
    context: PhilosophyExecutionContext | None = None
    labels: dict[LabelName, Label] = Field(default_factory=dict, max_length=32)
    priority: int = Field(4, ge=0, le=9, description="9 runs first")

    @model_validator(mode="after")
    def _check_program(self) -> Self:
        given = [self.source is not None, self.command is not None, self.agent is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of source, command and agent")
        return self


def schema_of_request() -> dict[str, Any]:
    """Return the JSON Schema of an execution request, as this client sends it."""
    return ExecutionRequest.model_json_schema()
