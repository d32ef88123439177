"""The Celery application. PostgreSQL is the truth; a message only says: look at this id."""

from urllib.parse import urlsplit
from uuid import UUID

import structlog
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

from models.errors import SettingsError
from models.execution import MAX_PRIORITY
from models.settings import Settings, load_settings

log = structlog.get_logger()

EXECUTE = "agentcore.execute"
RUN = "agentcore.run"
SWEEP = "agentcore.sweep"
QUEUE = "agentcore"
CONTROL_QUEUE = "agentcore.control"  # short work that must not wait behind executions
CANCEL_COMMAND = "agentcore_cancel"

RESULT_EXPIRES = 3600  # seconds that Celery keeps a reply; the database keeps the outcome
VISIBILITY_SLACK = 600  # seconds a message may stay unacknowledged beyond the longest run
BROKER_TIMEOUT = 3  # seconds; a submit must not hang on a broker that is away


def _is_redis(settings: Settings) -> bool:
    return urlsplit(settings.broker_url.get_secret_value()).scheme.startswith(
        ("redis", "valkey", "sentinel")
    )


def make_app(settings: Settings) -> Celery:
    """Return the application, configured from the settings alone."""
    broker = settings.broker_url.get_secret_value()
    results = settings.result_backend_url
    if results is None and not _is_redis(settings):
        raise SettingsError("AGENTCORE_RESULT_BACKEND_URL: needed with a broker that is not Redis")
    app = Celery("agentcore", broker=broker, include=["worker.tasks"])
    app.conf.update(
        result_backend=results.get_secret_value() if results else broker,
        result_expires=RESULT_EXPIRES,
        task_queues=[Queue(QUEUE, max_priority=MAX_PRIORITY + 1), Queue(CONTROL_QUEUE)],
        task_default_queue=QUEUE,
        task_create_missing_queues=False,
        task_routes={RUN: {"queue": CONTROL_QUEUE}, SWEEP: {"queue": CONTROL_QUEUE}},
        # JSON only: a pickle from the broker would be code of whoever can write to it.
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        # A message is acknowledged when its work is done; a second delivery finds no row to claim.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_consumer="worker.consumer:Consumer",
        worker_soft_shutdown_timeout=10,
        worker_send_task_events=True,
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(settings),
        redis_socket_timeout=BROKER_TIMEOUT * 10,
        redis_socket_connect_timeout=BROKER_TIMEOUT,
        beat_schedule={
            "sweep": {
                "task": SWEEP,
                "schedule": settings.sweep_seconds,
                # One late sweep is as good as many.
                "options": {"expires": settings.sweep_seconds, "ignore_result": True},
            }
        },
        timezone="UTC",
    )
    return app


def _transport_options(settings: Settings) -> dict[str, object]:
    if not _is_redis(settings):
        return {}
    longest = settings.ceiling_execution_time_seconds + VISIBILITY_SLACK
    return {
        "visibility_timeout": int(longest),
        "queue_order_strategy": "priority",
        "priority_steps": list(range(MAX_PRIORITY + 1)),
        "socket_connect_timeout": BROKER_TIMEOUT,
        # A broker that hangs must not hold its callers for ever; longer than any blocking read.
        "socket_timeout": BROKER_TIMEOUT * 5,
    }


_settings = load_settings()
app = make_app(_settings)


def send_execute(execution_id: UUID, priority: int) -> bool:
    """Ring the doorbell for an execution; return whether the broker took it.

    The message carries the id alone. When the broker is away the sweep sends it later.
    """
    # On Redis 0 is taken first, on RabbitMQ 9 is.
    urgency = MAX_PRIORITY - priority if _is_redis(_settings) else priority
    try:
        app.send_task(
            EXECUTE,
            args=[str(execution_id)],
            task_id=str(execution_id),
            queue=QUEUE,
            priority=urgency,
            ignore_result=True,
            retry=False,
        )
    except (OperationalError, OSError) as error:
        log.warning("broker_unavailable", execution=str(execution_id), error=str(error))
        return False
    return True


def send_cancel(execution_id: UUID) -> None:
    """Tell all workers at once; the heartbeat tells them anyway, later."""
    try:
        app.control.broadcast(CANCEL_COMMAND, arguments={"execution_id": str(execution_id)})
    except (OperationalError, OSError) as error:
        log.warning("broker_unavailable", execution=str(execution_id), error=str(error))
