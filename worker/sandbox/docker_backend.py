"""Runs sandboxes as containers of a Docker engine."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import docker
import requests
import structlog
from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from models.sandbox import Outcome, SandboxConfig
from worker.sandbox import container, judge
from worker.sandbox.backend import BeforeUserCode
from worker.sandbox.collector import Collector
from worker.sandbox.connection import Connection
from worker.sandbox.conversation import follow, send_job, verified_isolation
from worker.sandbox.errors import (
    AbandonedError,
    EngineUnavailableError,
    ImageUnavailableError,
    ProtocolError,
    SandboxCancelledError,
    SandboxStartError,
)

log = structlog.get_logger()

DEADLINE_SLACK = 60  # seconds past the time limit after which any worker removes the container


class _Sandbox:
    """One running container as its thread and other threads see it."""

    def __init__(self, spec: SandboxConfig) -> None:
        self.spec = spec
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

    def __init__(
        self, *, deployment: str, worker_id: str, timeout_seconds: float, grace_seconds: float
    ) -> None:
        self._deployment = deployment
        self._worker_id = worker_id
        self._timeout = timeout_seconds
        self._grace = grace_seconds
        self._lock = threading.Lock()
        self._client_lock = threading.Lock()
        self._api: APIClient | None = None
        self._options: frozenset[str] = frozenset()
        self._running: dict[UUID, _Sandbox] = {}

    def check(self) -> None:
        """Raise EngineUnavailableError when the engine does not answer."""
        with _engine_errors():
            self._client().ping()

    def run(self, spec: SandboxConfig, before_user_code: BeforeUserCode) -> Outcome:
        """Run one sandbox to its end; see the contract."""
        sandbox = _Sandbox(spec)
        with self._lock:
            self._running[spec.execution_id] = sandbox
        try:
            with _engine_errors():
                outcome = self._run(sandbox, before_user_code)
        except SandboxCancelledError:
            if sandbox.abandoned:
                raise AbandonedError from None
            raise
        finally:
            with self._lock:
                self._running.pop(spec.execution_id, None)
        if sandbox.abandoned:
            raise AbandonedError
        return outcome

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
        with _engine_errors():
            api = self._client()
            filters = {"label": f"{container.LABEL_DEPLOYMENT}={self._deployment}"}
            found = api.containers(all=True, filters=filters)
            leftovers = [item for item in found if self._is_leftover(item["Labels"], is_held)]
            for item in leftovers:
                log.warning("container_swept", container=item["Id"][:12], state=item["State"])
                self._remove(api, item["Id"])
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
        spec, api = sandbox.spec, self._client()
        with self._container(api, spec) as container_id:
            connection = Connection(api, container_id)
            sandbox.connection = connection
            try:
                return self._converse(api, container_id, sandbox, connection, before_user_code)
            finally:
                sandbox.connection = None
                connection.close()

    @contextmanager
    def _container(self, api: APIClient, spec: SandboxConfig) -> Iterator[str]:
        arguments = container.create_arguments(api, spec, self._labels(spec), self._options)
        try:
            container_id: str = api.create_container(**arguments)["Id"]
        except ImageNotFound as error:
            raise ImageUnavailableError(spec.image_reference) from error
        try:
            yield container_id
        finally:
            self._remove(api, container_id)

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
            raise SandboxStartError(f"the container did not start: {error.explanation}") from error
        in_force = verified_isolation(
            spec,
            connection,
            lambda: api.inspect_container(container_id),
            cancelled=sandbox.cancelled,
        )
        before_user_code(in_force)
        collector = Collector(spec)
        try:
            send_job(spec, connection)
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
        unexplained = collector.exit is None and ended_by_us is None
        engine_saw_oom = unexplained and self._saw_oom(api, container_id)
        return judge.judge(
            collector, ended_by_us=ended_by_us, engine_saw_oom=engine_saw_oom, isolation=in_force
        )

    def _saw_oom(self, api: APIClient, container_id: str) -> bool:
        try:
            return bool(api.inspect_container(container_id)["State"].get("OOMKilled"))
        except (requests.exceptions.RequestException, DockerException):
            return False  # the outcome is known well enough without

    def _remove(self, api: APIClient, container_id: str) -> None:
        try:
            api.remove_container(container_id, v=True, force=True)
        except NotFound:
            return
        except (APIError, requests.exceptions.RequestException) as error:
            # The sweep removes it; the outcome must not be lost for it.
            log.warning("container_not_removed", container=container_id[:12], error=str(error))

    def _client(self) -> APIClient:
        # A lock of its own: a cancel must not wait for an engine that does not answer.
        with self._client_lock:
            if self._api is None:
                api = docker.from_env(timeout=int(self._timeout), max_pool_size=256).api
                self._options = frozenset(
                    option.removeprefix("name=").split(",")[0]
                    for option in api.info().get("SecurityOptions") or []
                )
                self._api = api
            return self._api


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except (requests.exceptions.RequestException, DockerException) as error:
        raise EngineUnavailableError(f"the container engine failed: {error}") from error
