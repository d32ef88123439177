"""A Celery consumer that survives any message and logs none of them.

Celery's own ends the worker on a known task with a malformed body (and the broker hands it out
again), and writes bodies that it refuses to the log: they may hold code and secrets.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery.exceptions import NotRegistered
from celery.worker.consumer import Consumer as CeleryConsumer

log = structlog.get_logger()

MAX_SHOWN = 100  # characters of a name that a stranger chose
RETRY_FIRST, RETRY_STEP, RETRY_MOST = 1.0, 1.0, 8.0  # seconds between tries to reach the broker
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)


def _spread(seconds: float) -> float:
    """Return a time between half and one and a half of `seconds`."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


class Consumer(CeleryConsumer):
    """Refuses what it cannot take, tells the sender where it can, and goes on."""

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for a broker that is away, each worker in a rhythm of its own.

        kombu waits 2 s, 4 s, 6 s … up to 30 s: a fleet would come back in one moment, and late.
        """
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=_spread(RETRY_FIRST),
            interval_step=_spread(RETRY_STEP),
            interval_max=_spread(RETRY_MOST),
        )
        return super().ensure_connected(conn)

    def create_task_handler(self, *arguments: Any, **more: Any) -> Callable[[Any], Any]:
        """Return Celery's handler of messages, made to refuse where it would fail."""
        handle = super().create_task_handler(*arguments, **more)

        def refuse_malformed(message: Any) -> Any:
            try:
                return handle(message)
            except MALFORMED as error:
                self._refuse(message, f"malformed: {type(error).__name__}")
                return None

        return refuse_malformed

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Refuse what is no task message."""
        self._refuse(message, "not a task message")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Refuse a task that we do not have; whoever waits for its result is told."""
        name, task_id = (message.headers.get(key) for key in ("task", "id"))
        self._refuse(message, "unknown task", task=str(name)[:MAX_SHOWN])
        if isinstance(task_id, str):
            self.app.backend.store_result(task_id, NotRegistered(str(name)[:MAX_SHOWN]), "FAILURE")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Refuse a message whose body is not that of its task."""
        self._refuse(message, f"malformed: {str(exc)[:MAX_SHOWN]}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse what cannot be decoded, or is in a format that we do not take."""
        self._refuse(message, "cannot be decoded")

    def _refuse(self, message: Any, why: str, **facts: str) -> None:
        log.warning("message_refused", why=why, **facts)
        errors = self.connection_errors  # type: ignore[attr-defined]
        message.reject_log_error(log, errors)
