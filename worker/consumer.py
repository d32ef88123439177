"""A Celery consumer that survives any message and logs none of them.

Celery's own ends the worker on a known task with a malformed body (and the broker hands it out
again), and writes bodies that it refuses to the log: they may hold code and secrets.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery.bootsteps import RUN as RUN_STATE  # type: ignore[attr-defined]
from celery.exceptions import NotRegistered
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.exceptions import ContentDisallowed, DecodeError
from vine import promise

from worker.app import RUN

log = structlog.get_logger()

MAX_SHOWN = 100  # characters of a name that a stranger chose
RETRY_FIRST, RETRY_STEP, RETRY_MOST = 1.0, 1.0, 8.0  # seconds between tries to reach the broker
EVENTS_DELAY = 0.05  # seconds for which events are gathered
LINKS = ("callbacks", "errbacks", "chain", "chord")  # to other tasks, of which there are none here
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)


def _spread(seconds: float) -> float:
    """Return a time between half and one and a half of `seconds`."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception as error:
        # Whatever a dead connection raises: a new one is made next.
        log.warning("broker_connection_not_closed", error=repr(error)[:200])


def _body_fault(body: Any) -> str | None:
    match body:
        case [list(), dict(), None]:
            return None
        case [list(), dict(), dict() as embedded]:
            linked = any(embedded.get(name) for name in LINKS)
            return "callbacks, chains and chords are not taken" if linked else None
    return "malformed: not a task's arguments"


class Consumer(CeleryConsumer):
    """Refuses what it cannot take, tells the sender where it can, and goes on."""

    # Of Celery's consumer, which has no types for them.
    hub: Any
    blueprint: Any
    _flush_events: Callable[[], None]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # Of events that were gathered: Celery has it called soon after each, by whichever thread.
        self._flush_is_due = False
        self._flush_events_promise = promise(self._flush_later)
        # What kombu's Redis channels raise once their connection has been given up: each
        # acknowledgement of what ends just then, for one. It ended the worker.
        broken: tuple[type[BaseException], ...] = self.connection_errors  # type: ignore[has-type]
        self.connection_errors = (*broken, AttributeError)

    def _flush_later(self) -> None:
        """Send what Flower is told some moments later: what was just taken goes first."""
        if self.blueprint.state != RUN_STATE:  # no timer comes any more
            self._flush_now()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self.hub.call_later(EVENTS_DELAY, self._flush_now)

    def _flush_now(self) -> None:
        self._flush_is_due = False
        self._flush_events()

    def stop(self) -> None:
        """Stop; what was gathered till then is sent."""
        self._flush_now()
        super().stop()

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

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a broken connection; what it raises meanwhile does not end the worker.

        On closing, kombu gives back to Redis what the connection had taken, over a client that is
        gone by then: an AttributeError. The messages come again without that, see worker/app.py.
        """
        connection: Any = self.connection
        if connection is not None:
            connection.close = partial(_close, connection.close)
        super().on_connection_error_after_connected(exc)

    def create_task_handler(self, *arguments: Any, **more: Any) -> Callable[[Any], Any]:
        """Return Celery's handler of messages, made to refuse where it would fail."""
        handle = super().create_task_handler(*arguments, **more)

        def refuse_malformed(message: Any) -> Any:
            try:
                if fault := self._fault(message):
                    return self._refuse_task(message, fault)
                return handle(message)
            except MALFORMED as error:
                self._refuse(message, f"malformed: {type(error).__name__}")
                return None

        return refuse_malformed

    def _fault(self, message: Any) -> str | None:
        """Return why a message for a task of ours cannot be run, if so.

        Celery finds out in a thread of the pool, where nobody acknowledges the message any more: it
        keeps its place among those taken, comes again after a restart, and a few stop a worker.
        """
        headers = message.headers
        known = self.app.tasks
        if not isinstance(headers, dict) or headers.get("task") not in known:
            return None  # for the handlers of those
        if not isinstance(headers.get("id"), str):
            return "malformed: the id is no text"
        if headers.get("eta") is not None:
            return "eta and countdown are not taken: what waits here keeps others waiting"
        try:
            return _body_fault(message.payload)
        except (ContentDisallowed, DecodeError):
            return None

    def _refuse_task(self, message: Any, why: str) -> None:
        task_id = message.headers["id"]
        self._refuse(message, why)
        if isinstance(task_id, str) and message.headers["task"] == RUN:
            self.app.backend.store_result(task_id, ValueError(why), "FAILURE")

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
        message.reject_log_error(log, self.connection_errors)
