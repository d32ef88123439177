"""Removes containers; those of programs that are over, beside the recording of their outcomes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests
import structlog
from docker.errors import DockerException

from worker.sandbox import engine
from worker.sandbox.client import EngineClient

log = structlog.get_logger()

THREADS = 4
# Seconds for which the removal of a program that is over waits for the recording of its outcome,
# which somebody waits for, and which needs the processors that an engine takes to end a container.
COURTESY = 0.02
MAX_WAITING = 32  # removals; whoever comes with one more does it himself, which slows him down


class Removal:
    """A few threads that remove containers. What fails is left to the sweep."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="removal")
        self._places = threading.Semaphore(MAX_WAITING)
        self._pending: set[str] = set()
        self._closing = threading.Event()

    def has(self, container_id: str) -> bool:
        """Whether a container waits to be removed, or is being removed."""
        return container_id in self._pending

    def remove(self, container_id: str, done: Callable[[], None], *, may_wait: bool) -> None:
        """Remove a container, then call `done`; with `may_wait` this returns at once."""
        self._pending.add(container_id)
        if may_wait and self._places.acquire(blocking=False):
            try:
                self._threads.submit(self._later, container_id, done)
            except RuntimeError:  # closed already: this may cost no outcome
                self._later(container_id, done)
        else:
            self._now(container_id, done)

    def close(self) -> None:
        """Return when all is removed; whoever removes after that does it himself."""
        self._closing.set()
        self._threads.shutdown()

    def _later(self, container_id: str, done: Callable[[], None]) -> None:
        try:
            self._closing.wait(COURTESY)
            self._now(container_id, done)
        finally:
            self._places.release()

    def _now(self, container_id: str, done: Callable[[], None]) -> None:
        try:
            engine.remove(self._client.api, container_id)
        except (DockerException, requests.exceptions.RequestException) as error:
            log.warning("container_not_removed", container=container_id[:12], error=str(error))
        finally:
            self._pending.discard(container_id)
            done()
