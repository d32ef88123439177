"""The supervisor's two reports as strict models: what does not fit is not believed."""

import json
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from models.types import json_depth
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest.artifacts import MAX_SKIPPED

MAX_DEPTH = 8  # nested arrays and objects of a report
MAX_WORDS = 400  # characters of any text in a report
MAX_REFUSALS = 2_000  # characters of what RestrictedPython refused
MAX_COUNT = 2**53  # of any number in a report; far above what is possible, exact in JSON


def _printable(text: str, limit: int = MAX_WORDS) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:limit])


Words = Annotated[str, AfterValidator(_printable)]
Refusals = Annotated[str, AfterValidator(lambda text: _printable(text, MAX_REFUSALS))]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Seconds = Annotated[float, Field(ge=0, le=MAX_COUNT, allow_inf_nan=False)]
Reached = Literal["closed", "open", "silent", "unreachable", "absent"]
Mask = Annotated[str, Field(pattern=r"^[0-9a-f]{1,16}$")]


class _Report(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Capabilities(_Report):
    """Capability masks in hexadecimal, as /proc/PID/status writes them."""

    effective: Mask
    permitted: Mask
    inheritable: Mask
    bounding: Mask
    ambient: Mask


class Cgroup(_Report):
    """Limits as the cgroup files write them; empty where a file is missing."""

    memory_limit: Words
    memory_swap_limit: Words
    pids_limit: Words
    cpu_quota: Words
    cpu_period: Words


class InsideReport(_Report):
    """The isolation in force as the supervisor sees it from inside."""

    uid: Count
    gid: Count
    groups: list[Count] = Field(max_length=64)
    pid: Count
    seccomp_mode: Count
    seccomp_filters: Count
    no_new_privileges: bool
    dumpable: bool
    capabilities: Capabilities
    uid_map: list[Words] = Field(max_length=64)
    apparmor: Words
    cgroup: Cgroup
    mounts: dict[Words, Words] = Field(max_length=64)
    other_mounts: list[Words] = Field(max_length=64)
    interfaces: list[Words] = Field(max_length=64)
    reachability: dict[Literal["gateway", "metadata"], Reached] = Field(default_factory=dict)
    file_descriptors: Count


class Skipped(_Report):
    """A file that was left out of the artifacts."""

    path: Words
    why: Words


class ArtifactHead(_Report):
    """What precedes the content of an artifact."""

    path: str
    size: Count


class EndReport(_Report):
    """How a program ended."""

    exit_code: int | None = Field(None, ge=0, le=255)
    signal: int | None = Field(None, ge=1, le=64)
    setup_error: Words | None = None
    exec_error: Words | None = None
    policy_violation: Refusals | None = None
    oom_kills: Count = 0
    wall_seconds: Seconds | None = None
    stdout_bytes: Count = 0
    stderr_bytes: Count = 0


class ExitReport(EndReport):
    """How a job ended; of a batch, nothing about its runs."""

    killed: Literal["cancel", "time_limit", "output_limit"] | None = None
    peak_memory_bytes: Count | None = None
    cpu_seconds: Seconds | None = None
    skipped: list[Skipped] = Field(default_factory=list, max_length=MAX_SKIPPED)
    skipped_count: Count = 0


class RunReport(EndReport):
    """How one run of a batch ended, and how much of what it wrote follows."""

    index: Count
    killed: Literal["time_limit", "output_limit"] | None = None
    # Bytes of the head and the tail of standard output, then of standard error.
    sizes: list[Count] = Field(min_length=4, max_length=4)
    result_bytes: Count | None = None  # of output/result.json, if there was one


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], payload: bytes) -> Model:
    """Return the report in `payload`. Raises ProtocolError when it is not one."""
    try:
        value = json.loads(payload)
        if json_depth(value) > MAX_DEPTH:
            raise ProtocolError("a report nests too deep")
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError(f"not a {model.__name__}: {where}: {first['msg']}"[:200]) from error
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a {model.__name__}: {str(error)[:200]}") from error
