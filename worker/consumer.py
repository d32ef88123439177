"""A Celery consumer that survives any message and logs none of them.

Celery's own ends the worker on a known task with a malformed body (and the broker hands it out
again), and writes bodies that it refuses to the log: they may hold code and secrets.
"""

from collections.abc import Callable
from typing import Any

import structlog
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.worker import strategy
from celery.worker.consumer import Consumer as CeleryConsumer

log = structlog.get_logger()

MAX_SHOWN = 100  # characters of a name that a stranger chose
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)


def checked(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Celery's default strategy, which refuses a malformed message instead of failing."""
    handle = strategy.default(task, app, consumer, **options)

    def refuse_malformed(*arguments: Any, **more: Any) -> Any:
        try:
            return handle(*arguments, **more)
        except MALFORMED as error:
            raise InvalidTaskError(type(error).__name__) from error

    return refuse_malformed


class Consumer(CeleryConsumer):
    """Refuses what it cannot take, tells the sender where it can, and goes on."""

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
