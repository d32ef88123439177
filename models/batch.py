"""A batch: one program over many inputs, each the standard input of a run of its own."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from models.limits import MAX_CONTAINER_SECONDS
from models.types import Contract, Encoding, Text, decode_content

MAX_STDIN_BYTES = 2_097_152  # bytes of standard input
MAX_INPUTS = 10_000  # runs of one batch
MAX_INPUT_BYTES = 65_536  # bytes of one input: what a pipe takes at once
MAX_INPUTS_BYTES = 8_388_608  # bytes of all: with source and files they fit into a request's body
MAX_INPUT_OUTPUT_BYTES = 65_536  # kept of one output stream of one run
_ONLY_WITH_INPUTS = ("input_timeout_seconds", "input_max_output_bytes")

Input = Annotated[Text, StringConstraints(max_length=MAX_INPUT_BYTES * 4 // 3 + 4)]


class StandardInput(Contract):
    """What a program reads: one standard input, or many and a run for each of them."""

    stdin: Text = Field("", max_length=MAX_STDIN_BYTES * 4 // 3 + 4)
    stdin_encoding: Encoding = Field("utf-8", description="Of stdin, or of all inputs")
    inputs: tuple[Input, ...] | None = Field(
        None,
        min_length=1,
        max_length=MAX_INPUTS,
        fail_fast=True,
        description="A batch: the program runs once for each, with it as its standard input",
    )
    input_timeout_seconds: float = Field(
        10,
        ge=0.1,
        le=MAX_CONTAINER_SECONDS,
        description="Wall-clock seconds of one run of a batch; the whole has its own limit",
    )
    input_max_output_bytes: int = Field(
        4096,
        ge=1,
        le=MAX_INPUT_OUTPUT_BYTES,
        description="Kept of each output stream of one run of a batch",
    )

    @model_validator(mode="after")
    def _check_input(self) -> Self:
        if self.inputs is None:
            for name in _ONLY_WITH_INPUTS:
                if name in self.model_fields_set:
                    raise ValueError(f"{name} goes with inputs")
        elif self.stdin:
            raise ValueError("give either stdin or inputs, not both")
        self._check_sizes()
        return self

    def _check_sizes(self) -> None:
        try:
            size = len(self.stdin_data)
        except ValueError as error:
            raise ValueError(f"stdin {error}") from error
        if size > MAX_STDIN_BYTES:
            raise ValueError(f"stdin must be at most {MAX_STDIN_BYTES} bytes")
        try:
            sizes = [len(data) for data in self.inputs_data]
        except ValueError as error:
            raise ValueError(f"inputs: one of them {error}") from error
        for index, size in enumerate(sizes):
            if size > MAX_INPUT_BYTES:
                raise ValueError(f"inputs.{index} must be at most {MAX_INPUT_BYTES} bytes")
        if sum(sizes) > MAX_INPUTS_BYTES:
            raise ValueError(f"inputs must be at most {MAX_INPUTS_BYTES} bytes together")

    @property
    def stdin_data(self) -> bytes:
        """The decoded bytes of standard input."""
        return decode_content(self.stdin, self.stdin_encoding)

    @property
    def inputs_data(self) -> tuple[bytes, ...]:
        """The decoded bytes of all inputs of a batch."""
        return tuple(decode_content(item, self.stdin_encoding) for item in self.inputs or ())


class BatchSummary(Contract):
    """How many runs a batch has, and how those that have ended did."""

    inputs: int = Field(ge=1, description="Runs that were asked for")
    succeeded: int | None = Field(None, ge=0, description="Null where a list leaves it out")
    failed: int | None = Field(None, ge=0)
    timed_out: int | None = Field(None, ge=0)
