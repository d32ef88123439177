"""Starts sandboxes, for a job at hand or ahead of one, and ends them."""

import os
import threading
import time
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import structlog
from docker.errors import APIError, ImageNotFound

from models.limits import NetworkAccess
from models.sandbox import SandboxConfig
from models.settings import Settings
from worker import fault_points
from worker.sandbox import container, engine, isolation
from worker.sandbox.client import EngineClient
from worker.sandbox.connection import Connection
from worker.sandbox.conversation import verified_isolation
from worker.sandbox.errors import (
    AppArmorNotLoadedError,
    EngineUnavailableError,
    ImageUnavailableError,
    IsolationRefusedError,
)
from worker.sandbox.full_network import ensure_network
from worker.sandbox.launched import Launched
from worker.sandbox.network import Egress
from worker.sandbox.removal import COURTESY, Removal
from worker.sandbox.turns import Turns

log = structlog.get_logger()

AGE_SLACK = 60  # seconds that a supervisor waits beyond the age at which it is thrown away
# At the same moment: all that the processors can do, and few enough that each is over soon; of two
# hundred together every one takes as long as all of them, and the engine's timeout ends it.
STARTS = 4 * (os.cpu_count() or 1)
DEADLINE_SLACK = 60  # seconds past the longest time after which any worker removes a container


class Launcher:
    """Makes containers as specs ask for them; safe to use from any thread."""

    def __init__(
        self, settings: Settings, worker_id: str, client: EngineClient, egress: Egress
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._client = client
        self._egress = egress
        self._removal = Removal(client)
        self._warm: set[str] = set()
        self._turns = Turns(STARTS)

    def cold(self, spec: SandboxConfig, cancelled: threading.Event) -> Launched:
        """Start the sandbox of an execution. Raises what the contract of a backend names."""
        labels = {
            container.LABEL_EXECUTION: str(spec.execution_id),
            container.LABEL_ATTEMPT: str(spec.attempt),
        }
        seconds = spec.limits.execution_time_seconds
        with self._turns.turn(cancelled):
            return self._launch(spec, container.attempt_name(spec), labels, seconds)

    def warm(self, spec: SandboxConfig) -> Launched:
        """Start a sandbox that waits for a job. Raises what the contract of a backend names."""
        token = str(uuid4())
        seconds = (
            self._settings.pool_max_age_seconds + self._settings.ceiling_execution_time_seconds
        )
        self._warm.add(token)  # before anybody can see the container
        try:
            name = f"agentcore-warm-{token}"
            labels = {container.LABEL_WARM: token}
            image = self.image_id(spec.image_reference)  # if it changes now, it seems changed
            with self._turns.turn(threading.Event()):
                launched = self._launch(spec, name, labels, seconds, token=token)
        except BaseException:
            self._warm.discard(token)
            raise
        try:
            self._look_inside(launched)
        except BaseException:
            self.end(launched)
            raise
        launched.image_id = image or ""
        return launched

    def _look_inside(self, launched: Launched) -> None:
        """Verify the isolation ahead, too; and let the supervisor wait until it is too old."""
        api = self._client.api
        with engine.engine_errors():
            verified_isolation(
                launched.spec,
                launched.connection,
                lambda: api.inspect_container(launched.container_id),
                cancelled=threading.Event(),
                patience_seconds=self._settings.pool_max_age_seconds + AGE_SLACK,
            )

    def image_id(self, reference: str) -> str | None:
        """Return what an image reference stands for now, which may be nothing; None when the
        engine does not tell.
        """
        try:
            with engine.engine_errors():
                api: Any = self._client.api
                found: str = api.inspect_image(reference)["Id"]
        except EngineUnavailableError as error:
            return "" if isinstance(error.__cause__, ImageNotFound) else None
        return found

    def is_ours(self, token: str) -> bool:
        """Whether a container with this label was started ahead by us and is not ended yet."""
        return token in self._warm

    def is_going(self, container_id: str) -> bool:
        """Whether a container that we ended is about to be removed by us."""
        return self._removal.has(container_id)

    def discard(self, launched: Launched) -> None:
        """End a sandbox that had no job; its container may go a moment later."""
        self._end(launched, may_wait=True, courtesy=0)

    def end(self, launched: Launched) -> None:
        """End a sandbox; where its program is over, that may come a moment later."""
        self._end(launched, may_wait=launched.ended_by_itself, courtesy=COURTESY)

    def _end(self, launched: Launched, *, may_wait: bool, courtesy: float) -> None:
        def let_go() -> None:
            launched.connection.close()
            self._egress.release(launched.place)

        self._removal.remove(
            launched.container_id,
            let_go,
            lambda: self._warm.discard(launched.token),
            may_wait=may_wait,
            courtesy=courtesy,
        )

    def close(self) -> None:
        """Wait until everything that was ended is removed."""
        self._removal.close()

    def _launch(
        self,
        spec: SandboxConfig,
        name: str,
        labels: dict[str, str],
        seconds: float,
        *,
        token: str = "",
    ) -> Launched:
        """Start a container that lives for at most about so many seconds."""
        labels = {
            container.LABEL_DEPLOYMENT: self._settings.deployment,
            container.LABEL_WORKER: self._worker_id,
            container.LABEL_DEADLINE: f"{time.time() + seconds + DEADLINE_SLACK:.0f}",
            **labels,
        }
        with engine.engine_errors():
            try:
                return self._start(spec, name, labels, token, own_apparmor=True)
            except AppArmorNotLoadedError as error:
                if spec.apparmor == "require":
                    facts = {"asked": isolation.asked(spec), "missing": [str(error)]}
                    raise IsolationRefusedError([str(error)], facts) from error
                log.warning("apparmor_not_loaded", do="python -m security_profiles load, as root")
            return self._start(spec, name, labels, token, own_apparmor=False)

    def _start(
        self,
        spec: SandboxConfig,
        name: str,
        labels: dict[str, str],
        token: str,
        *,
        own_apparmor: bool,
    ) -> Launched:
        api = self._client.api
        if spec.network_access is NetworkAccess.FULL:
            ensure_network(api)
        with ExitStack() as failed:
            place = self._egress.reserve(spec)
            failed.callback(self._egress.release, place)
            arguments = container.create_arguments(
                api,
                spec,
                labels,
                self._client.options,
                name=name,
                own_apparmor=own_apparmor,
                egress_folder=place.directory if place else None,
            )
            container_id = self._create(spec, arguments)
            failed.callback(engine.remove, api, container_id)
            fault_points.reach("after_create")
            connection = Connection(api, container_id)
            failed.callback(connection.close)
            try:
                api.start(container_id)
            except APIError as error:
                raise engine.start_error(spec, str(error.explanation)) from error
            fault_points.reach("after_start")
            failed.pop_all()
        return Launched(
            spec=spec,
            container_id=container_id,
            connection=connection,
            place=place,
            token=token,
        )

    def _create(self, spec: SandboxConfig, arguments: dict[str, Any]) -> str:
        fault_points.reach("before_create")
        try:
            created: str = self._client.api.create_container(**arguments)["Id"]
        except ImageNotFound as error:
            raise ImageUnavailableError(spec.image_reference) from error
        return created
