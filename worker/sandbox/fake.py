"""A backend without containers, for tests of what surrounds one."""

import threading
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from models.sandbox import InputOutcome, Outcome, SandboxConfig
from models.status import Reason, Status
from worker.sandbox.backend import BeforeUserCode, OnResults, no_results
from worker.sandbox.errors import AbandonedError

# Stands for the program: given the spec and an event that is set on cancel.
Program = Callable[[SandboxConfig, threading.Event], Outcome]
# Stands for the runs of a batch, before the program's end: given the spec, in lots as they come.
Runs = Callable[[SandboxConfig], Iterable[Sequence[InputOutcome]]]


class FakeBackend:
    """Keeps the contract of `Backend`, with a function in place of the container.

    `before` is called where a container would be started: what it raises fails the start.
    """

    def __init__(
        self,
        program: Program,
        *,
        before: Callable[[], None] = lambda: None,
        runs: Runs = lambda _: (),
    ) -> None:
        self._program = program
        self._before = before
        self._runs = runs
        self._running: dict[UUID, threading.Event] = {}
        self._abandoned: set[tuple[UUID, int]] = set()
        self.specs: list[SandboxConfig] = []

    def run(
        self,
        spec: SandboxConfig,
        before_user_code: BeforeUserCode,
        on_results: OnResults = no_results,
    ) -> Outcome:
        """Call the function as a sandbox would run the program."""
        self.specs.append(spec)
        cancelled = self._running.setdefault(spec.execution_id, threading.Event())
        try:
            self._before()
            before_user_code({"inside": {}, "engine": {}})
            for lot in self._runs(spec):
                on_results(lot)
            outcome = self._program(spec, cancelled)
        finally:
            del self._running[spec.execution_id]
        if (spec.execution_id, spec.attempt) in self._abandoned:
            raise AbandonedError
        if cancelled.is_set():
            return Outcome(status=Status.CANCELLED, reason=Reason.CANCEL_REQUESTED)
        return outcome

    def close(self) -> None:
        """There is nothing to end."""

    def cancel(self, execution_id: UUID) -> bool:
        """Set the event of a running function; return whether there was one."""
        event = self._running.get(execution_id)
        if event is not None:
            event.set()
        return event is not None

    def abandon(self, execution_id: UUID, attempt: int) -> None:
        """Set the event of a running function and drop its outcome."""
        self._abandoned.add((execution_id, attempt))
        self.cancel(execution_id)

    def warm_up(self, specs: Sequence[SandboxConfig]) -> None:
        """There is nothing to start."""

    def sweep(self, is_held: Callable[[UUID, int], bool], is_alive: Callable[[str], bool]) -> int:
        """Nothing can be left over."""
        return 0

    def check(self) -> None:
        """Always able."""
