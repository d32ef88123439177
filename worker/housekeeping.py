"""What a worker does beside its executions: heartbeat, leases, its host's containers."""

import socket
import threading
from collections.abc import Callable
from uuid import UUID

import structlog

from models.errors import StoreUnavailableError
from worker import claims
from worker.execution import Executor
from worker.sandbox.errors import EngineUnavailableError

log = structlog.get_logger()


class Housekeeping:
    """Two threads: one talks to the database only, so that a hung engine delays no heartbeat."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._settings = executor.settings
        self._stop = threading.Event()
        self._engine_error: str | None = None
        self._threads = [
            threading.Thread(target=self._loop, args=work, name=name, daemon=True)
            for name, work in (
                ("heartbeat", (self.beat, self._settings.heartbeat_seconds)),
                ("containers", (self.tend_containers, self._settings.sweep_seconds)),
            )
        ]

    def start(self) -> None:
        """Clean up after a predecessor, report for duty, and go on in the background."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop both threads; returns when they have."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def beat(self) -> None:
        """Renew the leases; end what was cancelled or lost; report this worker."""
        running = self._executor.running
        renewed = claims.renew(self._executor.worker_id, running, self._settings.lease_seconds)
        held = {item.execution_id: item for item in renewed}
        for execution_id, attempt in running.items():
            lease = held.get(execution_id)
            if lease is None or lease.attempt != attempt or lease.cancel_requested:
                self._executor.backend.cancel(execution_id)
        claims.report_worker(
            self._executor.worker_id,
            host=socket.gethostname(),
            slots=self._settings.worker_slots,
            running=len(running),
            engine_error=self._engine_error,
        )

    def tend_containers(self) -> None:
        """Remove leftover containers of this host; notice when the engine is away."""
        try:
            self._executor.backend.check()
            self._executor.backend.sweep(self._keep)
        except EngineUnavailableError as error:
            if self._engine_error is None:
                log.error("engine_unavailable", error=str(error), do="start the container engine")
            self._engine_error = str(error)[:500]
            return
        if self._engine_error is not None:
            log.info("engine_available_again")
        self._engine_error = None

    def _keep(self, execution_id: UUID, attempt: int) -> bool:
        mine = self._executor.running.get(execution_id) == attempt
        return mine or claims.is_held(execution_id, attempt)

    def _loop(self, work: Callable[[], None], seconds: float) -> None:
        while True:
            try:
                work()
            except StoreUnavailableError as error:
                log.warning("store_unavailable", error=str(error))
            except Exception:
                # These threads keep leases alive: they must outlive any single failure.
                log.exception("housekeeping_failed", work=work.__name__)
            if self._stop.wait(seconds):
                return
