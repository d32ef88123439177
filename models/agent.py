"""The complete configuration of an agent, and what every runnable thing has in common."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from models.limits import ExecutionLimits, ResourceLimits
from models.security import ProfileName, SecurityOptions
from models.tool import MAX_SOURCE_CHARS, ToolDefinition
from models.types import (
    AllowedHost,
    Argument,
    Contract,
    Encoding,
    EnvironmentName,
    Name,
    Text,
    WorkspacePath,
    at_most,
    decode_content,
)

MAX_FILE_BYTES = 2_097_152  # bytes of one input file
MAX_FILES_BYTES = 4_194_304  # bytes of all input files together
# Bytes of all arguments, and of all names and values of the environment. The kernel takes at
# most 131,072 bytes in one string of either (MAX_ARG_STRLEN).
MAX_ARGUMENTS_BYTES = 120_000
RESERVED_FILES = ("main.py", "context.json")  # written by the sandbox itself
RESERVED_FOLDER = "output"


class AgentPhilosophy(StrEnum):
    """How an agent reasons; passed on to its program."""

    REACT = "react"
    CHAIN_OF_THOUGHT = "chain_of_thought"
    MULTI_AGENT = "multi_agent"
    AUTONOMOUS = "autonomous"


class InputFile(Contract):
    """A file to place under /workspace before the program starts."""

    path: WorkspacePath
    content: Text = Field(max_length=MAX_FILE_BYTES * 4 // 3 + 4)
    encoding: Encoding = "utf-8"

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        try:
            size = len(self.data)
        except ValueError as error:
            raise ValueError(f"content {error}") from error
        if size > MAX_FILE_BYTES:
            raise ValueError(f"content must be at most {MAX_FILE_BYTES} bytes")
        if self.path.split("/")[0] in (*RESERVED_FILES, RESERVED_FOLDER):
            raise ValueError(
                f"path must not be one of {', '.join(RESERVED_FILES)} or in {RESERVED_FOLDER}/"
            )
        return self

    @property
    def data(self) -> bytes:
        """The decoded bytes."""
        return decode_content(self.content, self.encoding)


class Runnable(Contract):
    """What a stored agent and an execution request share."""

    source: Text | None = Field(
        None, min_length=1, max_length=MAX_SOURCE_CHARS, description="Python source to run"
    )
    command: tuple[Argument, ...] | None = Field(
        None,
        min_length=1,
        max_length=256,
        fail_fast=True,
        description="Program and arguments, without a shell",
    )
    args: tuple[Argument, ...] = Field(
        (), max_length=256, fail_fast=True, description="Arguments after the source"
    )
    environment: Annotated[dict[EnvironmentName, Argument], at_most(256)] = Field(
        default_factory=dict, max_length=256
    )
    files: tuple[InputFile, ...] = Field((), max_length=64, fail_fast=True)
    image: Name = Field("python", description="A name of the operator's image catalogue")
    security_profile: ProfileName = Field(
        "standard", description="When left out, the operator's default, which is standard"
    )
    security_options: SecurityOptions = Field(
        default_factory=SecurityOptions, description="Changes to the security profile"
    )
    resource_limits: ResourceLimits = Field(default_factory=ResourceLimits)
    execution_limits: ExecutionLimits = Field(default_factory=ExecutionLimits)
    allowed_hosts: tuple[AllowedHost, ...] = Field(
        (), max_length=100, fail_fast=True, description="What network_access=restricted may reach"
    )
    restricted_python: bool | None = Field(
        None,
        description="Run under RestrictedPython: a policy, never a security boundary. "
        "When left out, the default of the security profile applies",
    )
    max_attempts: int = Field(
        1, ge=1, le=10, description="How often user code may be started if a worker is lost"
    )

    @model_validator(mode="after")
    def _check_program(self) -> Self:
        if self.source is not None and self.command is not None:
            raise ValueError("give either source or command, not both")
        if self.command is not None and self.args:
            raise ValueError("args go with source; put a command's arguments into command")
        _check_files(self.files)
        for name, words in (
            ("command", self.command or ()),
            ("args", self.args),
            ("environment", [*self.environment, *self.environment.values()]),
        ):
            if sum(len(word.encode()) for word in words) > MAX_ARGUMENTS_BYTES:
                raise ValueError(f"{name} must be at most {MAX_ARGUMENTS_BYTES} bytes together")
        return self


def _check_files(files: tuple[InputFile, ...]) -> None:
    paths = {file.path for file in files}
    if len(paths) != len(files):
        raise ValueError("files must not name a path twice")
    folders = {
        path.rsplit("/", depth)[0] for path in paths for depth in range(1, path.count("/") + 1)
    }
    if clash := paths & folders:
        raise ValueError(f"files: {min(clash)} is both a file and a folder")
    if sum(len(file.data) for file in files) > MAX_FILES_BYTES:
        raise ValueError(f"files must be at most {MAX_FILES_BYTES} bytes together")


class AgentConfig(Runnable):
    """The complete configuration of a stored agent; every change makes a new version."""

    description: Text = Field("", max_length=4096)
    philosophy: AgentPhilosophy = AgentPhilosophy.REACT
    tools: tuple[ToolDefinition, ...] = Field((), max_length=64, fail_fast=True)

    @model_validator(mode="after")
    def _check_agent(self) -> Self:
        names = [tool.name for tool in self.tools]
        if len(set(names)) != len(names):
            raise ValueError("tools must have different names")
        if self.source is None and self.command is None and not self.tools:
            raise ValueError("an agent needs source, command or tools")
        return self
