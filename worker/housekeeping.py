"""What a worker does beside its executions: heartbeat, leases, its host's containers."""

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import structlog

from models.errors import StoreUnavailableError
from worker import claims, heartbeats
from worker.claims import Claim
from worker.execution import Executor
from worker.sandbox.errors import EngineUnavailableError

log = structlog.get_logger()

JITTER = 0.1  # of the time between two rounds, either way


class Housekeeping:
    """Two threads: one talks to the database only, so that a hung engine delays no heartbeat."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._settings = executor.settings
        self._stop = threading.Event()
        self._renewed_at = time.monotonic()
        # After an outage of the database others have a lease's time to renew theirs, too: till then
        # nobody seems to hold, or to be, anything.
        self._sweeps_from = float("-inf")
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
        """Stop both threads and sign off; returns when that is done, or after some seconds."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:  # one that never began: the broker never answered
                thread.join(timeout=5)
        with suppress(StoreUnavailableError):
            heartbeats.forget_worker(self._executor.worker_id)

    def beat(self) -> None:
        """Renew the leases; end what was cancelled or lost; report this worker."""
        running = self._executor.running
        try:
            renewed = claims.renew(self._executor.worker_id, running, self._settings.lease_seconds)
        except StoreUnavailableError:
            self._sweeps_from = float("inf")
            self._fence_ourselves(running)
            raise
        self._renewed_at = time.monotonic()
        if self._sweeps_from == float("inf"):
            self._sweeps_from = self._renewed_at + self._settings.lease_seconds
        held = {item.execution_id: item for item in renewed}
        backend = self._executor.backend
        for execution_id, claim in running.items():
            lease = held.get(execution_id)
            if lease is None or lease.attempt != claim.attempt:
                backend.abandon(execution_id, claim.attempt)
            elif lease.cancel_requested:
                backend.cancel(execution_id)
        if self._executor.draining:
            heartbeats.forget_worker(self._executor.worker_id)
            return
        heartbeats.report_worker(
            self._executor.worker_id,
            host=socket.gethostname(),
            slots=self._settings.worker_slots,
            running=len(running),
            engine_error=self._executor.engine_error,
        )

    def _fence_ourselves(self, running: dict[UUID, Claim]) -> None:
        """End what another worker may start again while we cannot see the database.

        The sweep, too, lets a lease pass in sight of the database before it expires any, so the
        second start cannot come before two leases. What may run once only goes on: its outcome
        still counts if the database was away for everybody.
        """
        if time.monotonic() - self._renewed_at > 2 * self._settings.lease_seconds:
            for execution_id, claim in running.items():
                if claim.max_attempts > claim.user_starts + 1:
                    self._executor.backend.abandon(execution_id, claim.attempt)

    def tend_containers(self) -> None:
        """Remove leftover containers of this host; notice when the engine is away."""
        executor = self._executor
        try:
            executor.backend.check()
            if time.monotonic() >= self._sweeps_from:
                executor.backend.sweep(claims.is_held, self._is_alive)
        except EngineUnavailableError as error:
            if executor.engine_error is None:
                log.error("engine_unavailable", error=str(error), do="start the container engine")
            executor.engine_error = str(error)[:500]
            return
        if executor.engine_error is not None:
            log.info("engine_available_again")
        executor.engine_error = None

    def _is_alive(self, worker_id: str) -> bool:
        return heartbeats.is_alive(worker_id, self._settings.lease_seconds)

    def _loop(self, work: Callable[[], None], seconds: float) -> None:
        while True:
            try:
                work()
            except StoreUnavailableError as error:
                log.warning("store_unavailable", error=str(error))
            except Exception:
                # These threads keep leases alive: they must outlive any single failure.
                log.exception("housekeeping_failed", work=work.__name__)
            # Not all workers of a fleet at the same moment.
            jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - not a secret
            if self._stop.wait(seconds * jitter):
                return
