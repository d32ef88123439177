"""Runs sandboxes as containers of a Docker engine."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import docker
import structlog
from docker import APIClient
from docker.errors import APIError, ImageNotFound

from models.limits import NetworkAccess
from models.sandbox import Outcome, SandboxConfig
from models.settings import Settings
from models.status import Status
from worker import fault_points
from worker.sandbox import container, engine, isolation, judge
from worker.sandbox.backend import BeforeUserCode, OnResults, no_results
from worker.sandbox.collector import Collector
from worker.sandbox.connection import Connection
from worker.sandbox.conversation import follow, send_job, verified_isolation
from worker.sandbox.errors import (
    AbandonedError,
    AppArmorNotLoadedError,
    ImageUnavailableError,
    IsolationRefusedError,
    ProtocolError,
    SandboxCancelledError,
    SandboxStartError,
    SandboxVanishedError,
)
from worker.sandbox.full_network import ensure_network
from worker.sandbox.network import Egress, add_network

log = structlog.get_logger()

DEADLINE_SLACK = 60  # seconds past the time limit after which any worker removes the container


class _Sandbox:
    """One running container as its thread and other threads see it."""

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


class DockerBackend:
    """The Backend contract on a Docker engine; one instance serves all threads."""

    def __init__(self, settings: Settings, worker_id: str) -> None:
        self._deployment = settings.deployment
        self._worker_id = worker_id
        self._timeout = settings.docker_timeout_seconds
        self._grace = settings.kill_grace_seconds
        self._egress = Egress(settings)
        self._lock = threading.Lock()
        self._api: APIClient | None = None
        self._options: frozenset[str] = frozenset()
        self._running: dict[UUID, _Sandbox] = {}

    def check(self) -> None:
        """Raise EngineUnavailableError when the engine does not answer."""
        with engine.engine_errors():
            self._client().ping()

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

    def sweep(self, is_held: Callable[[UUID, int], bool]) -> int:
        """Remove what nobody runs any more; containers of others are never looked at."""
        with engine.engine_errors():
            api = self._client()
            filters = {"label": f"{container.LABEL_DEPLOYMENT}={self._deployment}"}
            found = api.containers(all=True, filters=filters)
            leftovers = [item for item in found if self._is_leftover(item["Labels"], is_held)]
            for item in leftovers:
                log.warning("container_swept", container=item["Id"][:12], state=item["State"])
                engine.remove(api, item["Id"])
            return len(leftovers)

    def _is_leftover(self, labels: dict[str, str], is_held: Callable[[UUID, int], bool]) -> bool:
        try:
            execution_id = UUID(labels[container.LABEL_EXECUTION])
            attempt = int(labels[container.LABEL_ATTEMPT])
            deadline = float(labels[container.LABEL_DEADLINE])
        except (KeyError, ValueError):
            return False  # not made by this version; not ours to judge
        with self._lock:
            own = self._running.get(execution_id)
        if own is not None and own.spec.attempt == attempt:
            return False  # its thread watches the time, on a clock that nobody sets
        return time.time() > deadline or not is_held(execution_id, attempt)

    def _run(self, sandbox: _Sandbox, before_user_code: BeforeUserCode) -> Outcome:
        try:
            return self._run_in_container(sandbox, before_user_code)
        except AppArmorNotLoadedError as error:
            spec = sandbox.spec
            if spec.apparmor == "require":
                facts = {"asked": isolation.asked(spec), "missing": [str(error)]}
                raise IsolationRefusedError([str(error)], facts) from error
            log.warning("apparmor_not_loaded", do="python -m security_profiles load, as root")
        return self._run_in_container(sandbox, before_user_code, own_apparmor=False)

    def _run_in_container(
        self, sandbox: _Sandbox, before_user_code: BeforeUserCode, *, own_apparmor: bool = True
    ) -> Outcome:
        spec, api = sandbox.spec, self._client()
        if spec.network_access is NetworkAccess.FULL:
            ensure_network(api)
        with self._egress.gate(spec) as gate, engine.engine_errors():
            arguments = container.create_arguments(
                api,
                spec,
                self._labels(spec),
                self._options,
                own_apparmor=own_apparmor,
                egress_folder=gate.directory if gate else None,
            )
            with (
                self._container(api, spec, arguments) as container_id,
                self._connected(api, container_id, sandbox) as connection,
            ):
                outcome = self._converse(api, container_id, sandbox, connection, before_user_code)
            return outcome if gate is None else add_network(outcome, gate.close())

    @staticmethod
    @contextmanager
    def _connected(api: APIClient, container_id: str, sandbox: _Sandbox) -> Iterator[Connection]:
        connection = Connection(api, container_id)
        sandbox.connection = connection
        try:
            yield connection
        finally:
            sandbox.connection = None
            connection.close()

    @contextmanager
    def _container(
        self, api: APIClient, spec: SandboxConfig, arguments: dict[str, Any]
    ) -> Iterator[str]:
        if spec.attempt > 1:
            engine.remove_all(api, self._earlier(spec))
        fault_points.reach("before_create")
        try:
            container_id: str = api.create_container(**arguments)["Id"]
        except ImageNotFound as error:
            raise ImageUnavailableError(spec.image_reference) from error
        fault_points.reach("after_create")
        try:
            yield container_id
        finally:
            engine.remove(api, container_id)

    def _earlier(self, spec: SandboxConfig) -> list[str]:
        """Return the filters of what earlier attempts left on this host: none runs beside another.

        Its own attempt has none yet, for the name of a container is that of its attempt.
        """
        return [
            f"{container.LABEL_DEPLOYMENT}={self._deployment}",
            f"{container.LABEL_EXECUTION}={spec.execution_id}",
        ]

    def _labels(self, spec: SandboxConfig) -> dict[str, str]:
        deadline = time.time() + spec.limits.execution_time_seconds + DEADLINE_SLACK
        return {
            container.LABEL_DEPLOYMENT: self._deployment,
            container.LABEL_WORKER: self._worker_id,
            container.LABEL_EXECUTION: str(spec.execution_id),
            container.LABEL_ATTEMPT: str(spec.attempt),
            container.LABEL_DEADLINE: f"{deadline:.0f}",
        }

    def _converse(
        self,
        api: APIClient,
        container_id: str,
        sandbox: _Sandbox,
        connection: Connection,
        before_user_code: BeforeUserCode,
    ) -> Outcome:
        spec = sandbox.spec
        try:
            api.start(container_id)
        except APIError as error:
            raise engine.start_error(spec, str(error.explanation)) from error
        fault_points.reach("after_start")
        try:
            in_force = verified_isolation(
                spec,
                connection,
                lambda: api.inspect_container(container_id),
                cancelled=sandbox.cancelled,
            )
        except SandboxStartError:
            if connection.ended:
                engine.final_state(api, container_id)
            raise
        fault_points.reach("before_release")
        before_user_code(in_force)
        fault_points.reach("release_recorded")
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
        if collector.exit is None and ended_by_us is None and connection.ended:
            with engine.engine_errors(so_far=outcome):
                state = engine.final_state(api, container_id)
            if not state.get("OOMKilled"):
                raise SandboxVanishedError(outcome)
            return judge.out_of_memory(outcome)
        return outcome

    def _client(self) -> APIClient:
        # Without a lock: nobody may queue up behind a call to an engine that does not answer.
        if self._api is None:
            api = docker.from_env(timeout=int(self._timeout), max_pool_size=256).api
            self._options = frozenset(
                option.removeprefix("name=").split(",")[0]
                for option in api.info().get("SecurityOptions") or []
            )
            self._api = api
        return self._api
