"""Runs sandboxes as containers of a Docker engine."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import structlog
from docker.errors import APIError

from models.sandbox import Outcome, SandboxConfig
from models.settings import Settings
from models.status import Status
from worker import fault_points, metrics
from worker.sandbox import container, engine, judge
from worker.sandbox.backend import BeforeUserCode, OnResults, no_results
from worker.sandbox.client import EngineClient
from worker.sandbox.collector import Collector
from worker.sandbox.connection import Connection
from worker.sandbox.conversation import follow, send_job, verified_isolation
from worker.sandbox.errors import (
    AbandonedError,
    ProtocolError,
    SandboxCancelledError,
    SandboxStartError,
    SandboxVanishedError,
)
from worker.sandbox.launched import Launched
from worker.sandbox.launcher import Launcher
from worker.sandbox.leftovers import Users, is_leftover
from worker.sandbox.network import Egress, add_network
from worker.sandbox.pool import Bounds, Pool
from worker.sandbox.pool.shape import differing

log = structlog.get_logger()

WARM_TRIES = 3  # for one job: a stock that is broken as a whole shall not hold it up
WAITING_MB = 40  # MiB of the host's memory that a waiting sandbox takes, its shim included


class _Sandbox:
    """One run as its thread and other threads see it."""

    def __init__(self, spec: SandboxConfig, on_results: OnResults) -> None:
        self.spec = spec
        self.on_results = on_results
        self.cancelled = threading.Event()
        self.abandoned = False
        self.connection: Connection | None = None

    def end(self) -> None:
        self.cancelled.set()
        connection = self.connection
        if connection is not None:
            connection.wake()


class _NotReadyError(Exception):
    """A sandbox started ahead turned out to be of no use, by its cause; user code was not near."""


class DockerBackend:
    """The Backend contract on a Docker engine; one instance serves all threads."""

    def __init__(self, settings: Settings, worker_id: str) -> None:
        self._deployment = settings.deployment
        self._worker_id = worker_id
        self._grace = settings.kill_grace_seconds
        self._client = EngineClient(settings.docker_timeout_seconds)
        self._egress = Egress(settings)
        self._launcher = Launcher(settings, worker_id, self._client, self._egress)
        self._pool_size = settings.pool_size
        bounds = Bounds(
            most=min(settings.pool_max, settings.pool_memory_mb // WAITING_MB),
            idle_seconds=settings.pool_idle_seconds,
            max_age_seconds=settings.pool_max_age_seconds,
        )
        launcher = self._launcher
        self._pool = Pool(bounds, launcher.warm, launcher.discard, launcher.image_id)
        self._lock = threading.Lock()
        self._running: dict[UUID, _Sandbox] = {}

    def warm_up(self, specs: Sequence[SandboxConfig]) -> None:
        """Keep sandboxes like these ready, and others as they are asked for; see the contract."""
        self._pool.start(specs, self._pool_size)
        metrics.watch_pool(lambda: self._pool.waiting, lambda: self._pool.target)

    def check(self) -> None:
        """Raise EngineUnavailableError when the engine does not answer."""
        with engine.engine_errors():
            self._client.api.ping()

    def run(
        self,
        spec: SandboxConfig,
        before_user_code: BeforeUserCode,
        on_results: OnResults = no_results,
    ) -> Outcome:
        """Run one sandbox to its end; see the contract."""
        sandbox = _Sandbox(spec, on_results)
        with self._lock:
            self._running[spec.execution_id] = sandbox
        try:
            with engine.engine_errors():
                outcome = self._run(sandbox, before_user_code)
        except SandboxCancelledError:
            if sandbox.abandoned:
                raise AbandonedError from None
            raise
        finally:
            with self._lock:
                self._running.pop(spec.execution_id, None)
        # What ended by itself is an outcome; whether it still counts, the fence decides.
        if sandbox.abandoned and outcome.status is Status.CANCELLED:
            raise AbandonedError(so_far=outcome)
        return outcome

    def close(self) -> None:
        """End what runs beside the sandboxes; nothing may be run afterwards."""
        self._pool.close()
        self._launcher.close()
        self._egress.close()

    def cancel(self, execution_id: UUID) -> bool:
        """Wake the sandbox's thread; it ends the program and then the container."""
        with self._lock:
            sandbox = self._running.get(execution_id)
        if sandbox is None:
            return False
        sandbox.end()
        return True

    def abandon(self, execution_id: UUID, attempt: int) -> None:
        """End an attempt whose lease was lost; see the contract."""
        with self._lock:
            sandbox = self._running.get(execution_id)
        if sandbox is not None and sandbox.spec.attempt == attempt:
            sandbox.abandoned = True
            sandbox.end()

    def sweep(self, is_held: Callable[[UUID, int], bool], is_alive: Callable[[str], bool]) -> int:
        """Remove what nobody runs any more; containers of others are never looked at."""
        with engine.engine_errors():
            api = self._client.api
            filters = {"label": f"{container.LABEL_DEPLOYMENT}={self._deployment}"}
            users = Users(
                worker_id=self._worker_id,
                runs=self._runs,
                keeps=self._launcher.is_ours,
                is_held=is_held,
                is_alive=is_alive,
            )
            found = api.containers(all=True, filters=filters)
            leftovers = [
                item
                for item in found
                if not self._launcher.is_going(item["Id"]) and is_leftover(item["Labels"], users)
            ]
            removed = [item for item in leftovers if engine.remove(api, item["Id"])]
            for item in removed:
                log.warning("container_swept", container=item["Id"][:12], state=item["State"])
            return len(removed)

    def _runs(self, execution_id: UUID, attempt: int) -> bool:
        with self._lock:
            own = self._running.get(execution_id)
        return own is not None and own.spec.attempt == attempt

    def _run(self, sandbox: _Sandbox, before_user_code: BeforeUserCode) -> Outcome:
        spec = sandbox.spec
        if spec.attempt > 1:
            # None runs beside another; its own container is not there yet.
            label = f"{container.LABEL_DEPLOYMENT}={self._deployment}"
            engine.remove_named(self._client.api, label, container.attempts_prefix(spec))
        asked_at = time.monotonic()
        for _ in range(WARM_TRIES):
            warm = self._pool.take(spec)
            if warm is None:
                break
            try:
                return self._use(warm, sandbox, asked_at, before_user_code)
            except _NotReadyError as error:
                log.warning("warm_sandbox_thrown_away", error=str(error.__cause__))
        cold = self._launcher.cold(spec, sandbox.cancelled)
        return self._use(cold, sandbox, asked_at, before_user_code)

    def _use(
        self,
        launched: Launched,
        sandbox: _Sandbox,
        asked_at: float,
        before_user_code: BeforeUserCode,
    ) -> Outcome:
        """Run the job in a started sandbox, and see to its end."""
        with ExitStack() as ends:
            ends.callback(self._launcher.end, launched)
            ends.callback(setattr, sandbox, "connection", None)
            sandbox.connection = launched.connection
            try:
                with engine.engine_errors():
                    gate = ends.enter_context(self._egress.gate(sandbox.spec, launched.place))
                    in_force = self._made_ready(launched, sandbox)
            except (SandboxStartError, ProtocolError) as error:
                if launched.is_warm:
                    raise _NotReadyError from error
                raise
            if not launched.is_warm:
                self._pool.missed(sandbox.spec)
            metrics.count_start(launched.is_warm, time.monotonic() - asked_at)
            fault_points.reach("before_release")
            before_user_code(in_force)
            fault_points.reach("release_recorded")
            outcome = self._converse(launched, sandbox, in_force)
            return outcome if gate is None else add_network(outcome, gate.close())

    def _made_ready(self, launched: Launched, sandbox: _Sandbox) -> dict[str, Any]:
        """Make a started sandbox what the spec asks for; return the isolation in force."""
        spec, api, container_id = sandbox.spec, self._client.api, launched.container_id
        if launched.is_warm:
            self._adopt(launched, spec)
        try:
            in_force = verified_isolation(
                spec,
                launched.connection,
                lambda: engine.inspect_running(api, container_id),
                cancelled=sandbox.cancelled,
            )
        except SandboxStartError:
            if launched.connection.ended and not launched.is_warm:
                engine.final_state(api, container_id)
            raise
        in_force["engine"]["warm"] = launched.is_warm
        return in_force

    def _adopt(self, warm: Launched, spec: SandboxConfig) -> None:
        api = self._client.api
        try:
            if limits := differing(warm.spec, spec):
                engine.change_limits(api, warm.container_id, limits)
            if spec.max_attempts > 1:
                # By its name another attempt finds it.
                api.rename(warm.container_id, container.attempt_name(spec))
        except APIError as error:
            raise SandboxStartError(f"the engine does not change it: {error}") from error

    def _converse(self, launched: Launched, sandbox: _Sandbox, in_force: dict[str, Any]) -> Outcome:
        spec, connection = sandbox.spec, launched.connection
        collector = Collector(spec, sandbox.on_results)
        try:
            send_job(spec, connection)
            fault_points.reach("after_release")
            ended_by_us = follow(
                spec,
                connection,
                collector,
                cancelled=sandbox.cancelled,
                grace_seconds=self._grace,
            )
        except ProtocolError as error:
            log.warning("sandbox_protocol_error", error=str(error), guest=connection.diagnostics)
            ended_by_us = judge.CANCEL if sandbox.cancelled.is_set() else None
        collector.flush()
        outcome = judge.judge(collector, ended_by_us=ended_by_us, isolation=in_force)
        launched.ended_by_itself = collector.exit is not None and ended_by_us is None
        if collector.exit is None and ended_by_us is None and connection.ended:
            with engine.engine_errors(so_far=outcome):
                state = engine.final_state(self._client.api, launched.container_id)
            if not state.get("OOMKilled"):
                raise SandboxVanishedError(outcome)
            return judge.out_of_memory(outcome)
        return outcome
