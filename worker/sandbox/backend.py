"""The contract of everything that can run a sandbox."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from models.sandbox import InputOutcome, Outcome, SandboxConfig

# Called with the isolation in force once the sandbox stands and before it sees any user byte.
# What it raises ends the sandbox unused.
BeforeUserCode = Callable[[dict[str, Any]], None]
# Called with runs of a batch as they end, in order. What it raises ends the sandbox.
OnResults = Callable[[Sequence[InputOutcome]], None]


def no_results(_: Sequence[InputOutcome]) -> None:
    """Take no results: for what is no batch."""


class Backend(Protocol):
    """Runs one sandbox to its end; safe to call from many threads."""

    def run(
        self,
        spec: SandboxConfig,
        before_user_code: BeforeUserCode,
        on_results: OnResults = no_results,
    ) -> Outcome:
        """Run to the end and leave nothing behind.

        Raises EngineUnavailableError, ImageUnavailableError, SandboxStartError or
        IsolationRefusedError (a required layer is missing: no retry on this host helps);
        SandboxCancelledError when a cancel came before user code; AbandonedError;
        SandboxVanishedError.
        """

    def cancel(self, execution_id: UUID) -> bool:
        """End a running sandbox of this process; return whether there was one."""

    def abandon(self, execution_id: UUID, attempt: int) -> None:
        """End this attempt's sandbox because its lease was lost or its worker ends.

        `run` raises AbandonedError, unless the program had ended by itself before.
        """

    def sweep(self, is_held: Callable[[UUID, int], bool], is_alive: Callable[[str], bool]) -> int:
        """Remove this deployment's containers that this process does not run and nobody holds.

        `is_held` is asked with execution id and attempt, and `is_alive` with a worker's id, of
        what that worker has started ahead of its job. Returns how many were removed.
        """

    def warm_up(self, specs: Sequence[SandboxConfig]) -> None:
        """Keep sandboxes like these ready from now on, and like those that are asked for."""

    def close(self) -> None:
        """End what runs beside the sandboxes; nothing may be run afterwards."""

    def check(self) -> None:
        """Raise EngineUnavailableError when sandboxes cannot be started now."""
