"""What is told of the runs of a batch."""

from typing import Any, Literal

from pydantic import Field

from models.execution import Stream
from models.status import Reason, Status
from models.types import Contract


class InputResult(Contract):
    """How the run over one input ended."""

    index: int = Field(ge=0, description="Of the input, counted from 0")
    attempt: int = Field(ge=1, description="A repeated attempt runs all inputs again")
    status: Literal[Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT]
    reason: Reason | None = None
    exit_code: int | None = None
    signal: int | None = Field(None, description="Number of the signal that ended the run")
    stdout: Stream
    stderr: Stream
    result: Any = Field(None, description="What the run left as output/result.json, if anything")
    result_truncated: bool = Field(False, description="It was left out: the batch left too much")
    wall_seconds: float | None = None


class ResultPage(Contract):
    """Results of a batch in the order of their index."""

    items: tuple[InputResult, ...]
    next: int = Field(description="Give it as `after` to go on")
    complete: bool = Field(description="The execution has ended, and no more will come")


class ResultsEnd(Contract):
    """The last line of a stream of results."""

    next: int = Field(description="Give it as `after` to go on, if it is not complete")
    complete: bool = Field(description="The execution has ended, and these were all its results")
    detail: str | None = Field(None, description="Why the stream ended before them")
