"""Removes containers; those of programs that are over, beside and after what is more urgent."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import requests
import structlog
from docker.errors import DockerException

from worker.sandbox import engine
from worker.sandbox.client import EngineClient

log = structlog.get_logger()

THREADS = 4
# Seconds for which the end of a sandbox whose program is over waits for the recording of its
# outcome: somebody waits for that, and it needs the processors that an engine takes to end one.
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

    def remove(
        self,
        container_id: str,
        let_go: Callable[[], None],
        done: Callable[[], None],
        *,
        may_wait: bool,
        courtesy: float = 0,
    ) -> None:
        """Call `let_go`, by which a sandbox ends itself; remove the container; call `done`.

        With `may_wait` this returns at once, and none of it happens for `courtesy` seconds.
        """
        self._pending.add(container_id)
        if may_wait and self._places.acquire(blocking=False):
            due = time.monotonic() + courtesy
            try:
                self._threads.submit(self._later, due, container_id, let_go, done)
            except RuntimeError:  # closed already: this may cost no outcome
                self._later(due, container_id, let_go, done)
        else:
            self._now(container_id, let_go, done)

    def close(self) -> None:
        """Return when all is removed; whoever removes after that does it himself."""
        self._closing.set()
        self._threads.shutdown()

    def _later(
        self,
        due: float,
        container_id: str,
        let_go: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        try:
            self._closing.wait(max(0.0, due - time.monotonic()))
            self._now(container_id, let_go, done)
        except Exception:
            # Nobody else hears of what goes wrong in this thread.
            log.exception("sandbox_not_ended", container=container_id[:12])
        finally:
            self._places.release()

    def _now(self, container_id: str, let_go: Callable[[], None], done: Callable[[], None]) -> None:
        with ExitStack() as steps:  # each, whatever becomes of the one before
            steps.callback(done)
            steps.callback(self._pending.discard, container_id)
            steps.callback(self._remove, container_id)
            let_go()

    def _remove(self, container_id: str) -> None:
        try:
            engine.remove(self._client.api, container_id)
        except (DockerException, requests.exceptions.RequestException) as error:
            log.warning("container_not_removed", container=container_id[:12], error=str(error))
