"""The Celery application. PostgreSQL is the truth; a message only says: look at this id."""

import ssl
from pathlib import Path
from uuid import UUID

import structlog
from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from pydantic import SecretStr

from models import urls
from models.errors import SettingsError
from models.execution import MAX_PRIORITY
from models.settings import Settings, load_settings

log = structlog.get_logger()

EXECUTE = "agentcore.execute"
RUN = "agentcore.run"
SWEEP = "agentcore.sweep"
AGE_OUT = "agentcore.age_out"
QUEUE = "agentcore"
CONTROL_QUEUE = "agentcore.control"  # short work that must not wait behind executions
CANCEL_COMMAND = "agentcore_cancel"

RESULT_EXPIRES = 3600  # seconds that Celery keeps a reply; the database keeps the outcome
VISIBILITY_SLACK = 600  # seconds a message may stay unacknowledged beyond the longest run
BROKER_TIMEOUT = 3  # seconds; a submit must not hang on a broker that is away
BROKER_HEARTBEAT = 20  # seconds, RabbitMQ only; either side is given up after two in silence
# A broker that is away, or that refuses us: kombu passes on some of AMQP's errors as they are.
BROKER_ERRORS = (OperationalError, OSError, AMQPError)
AGE_OUT_SECONDS = 60  # between two runs of the retention


def _is_redis(settings: Settings) -> bool:
    return urls.scheme(settings.broker_url) in urls.REDIS


def make_app(settings: Settings) -> Celery:
    """Return the application, configured from the settings alone. Raises SettingsError."""
    broker = settings.broker_url.get_secret_value()
    if urls.scheme(settings.broker_url) == urls.UNUSED:
        raise SettingsError("AGENTCORE_BROKER_URL: this process needs one")
    results = settings.result_backend_url
    if results is None and not _is_redis(settings):
        raise SettingsError("AGENTCORE_RESULT_BACKEND_URL: needed with a broker that is not Redis")
    app = Celery("agentcore", broker=broker, include=["worker.tasks"])
    app.conf.update(
        result_backend=results.get_secret_value() if results else broker,
        broker_use_ssl=_tls(settings.broker_url, settings.broker_ca_certificates),
        redis_backend_use_ssl=_tls(results or settings.broker_url, settings.broker_ca_certificates),
        result_expires=RESULT_EXPIRES,
        task_queues=[Queue(QUEUE, max_priority=MAX_PRIORITY + 1), Queue(CONTROL_QUEUE)],
        task_default_queue=QUEUE,
        task_create_missing_queues=False,
        task_routes={name: {"queue": CONTROL_QUEUE} for name in (RUN, SWEEP, AGE_OUT)},
        # JSON only: a pickle from the broker would be code of whoever can write to it.
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        # A message is acknowledged when its work is done; a second delivery finds no row to claim.
        task_acks_late=True,
        # A task that raised is done too: its row is in the database, and the sweep sends it again.
        task_acks_on_failure_or_timeout=True,
        # As many messages as threads: none waits behind an execution while another worker is idle.
        worker_prefetch_multiplier=1,
        # When the broker goes, executions go on: they need it no more. Their messages come again
        # when it is back, and find nothing to claim.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # After a lost connection Celery takes fewer messages for a while, and raises the number
        # again from the threads that run tasks. On RabbitMQ each raise waits for an answer on the
        # connection that the main thread reads: the loser of that race waits for ever, and the
        # worker with it.
        worker_enable_prefetch_count_reduction=_is_redis(settings),
        # Survives malformed messages.
        worker_consumer="worker.consumer:Consumer",
        # Soft shutdown ends in a cold one, which cannot end a thread: see worker/shutdown.py.
        worker_soft_shutdown_timeout=0,
        # For Flower.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # Our own logging is set up already.
        worker_hijack_root_logger=False,
        # A broker that is away, also at the start, is waited for, and for ever: a worker that gave
        # up after Celery's 100 tries would need somebody to start it again.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # RabbitMQ closes the channel of a run that outlasts its consumer_timeout (half an hour,
        # if nobody changed it). Without this the worker would end; with it, it opens another, and
        # the messages that come again find nothing to claim.
        broker_channel_error_retry=True,
        broker_connection_timeout=BROKER_TIMEOUT,
        # A host that vanished says nothing: without this nobody would notice for minutes.
        broker_heartbeat=BROKER_HEARTBEAT,
        broker_transport_options=_transport_options(settings),
        # Of replies: a broker that hangs must not hold a thread for ever.
        redis_socket_timeout=BROKER_TIMEOUT * 10,
        redis_socket_connect_timeout=BROKER_TIMEOUT,
        beat_schedule={
            "sweep": {
                "task": SWEEP,
                "schedule": settings.sweep_seconds,
                # One late sweep is as good as many.
                "options": {"expires": settings.sweep_seconds, "ignore_result": True},
            },
            "age_out": {
                "task": AGE_OUT,
                "schedule": AGE_OUT_SECONDS,
                "options": {"expires": AGE_OUT_SECONDS, "ignore_result": True},
            },
        },
        timezone="UTC",
    )
    _check_connection(app, settings)
    return app


def _check_connection(app: Celery, settings: Settings) -> None:
    """Let kombu read the address, which may name options that it does not have; nobody connects."""
    try:
        app.connection_for_write()
    except (TypeError, ValueError, KeyError) as error:
        kind = type(error).__name__
        raise SettingsError(f"AGENTCORE_BROKER_URL: its options are refused ({kind})") from None
    if "ssl_cert_reqs=" in settings.broker_url.get_secret_value():
        log.warning("broker_is_checked_as_its_address_says", variable="AGENTCORE_BROKER_URL")


def _tls(url: SecretStr, authority: Path | None) -> dict[str, object] | None:
    """Return what Celery must be told for an address by TLS: by default it trusts anybody."""
    words = {"rediss": "ssl_", "amqps": ""}
    prefix = words.get(urls.scheme(url))
    if prefix is None:
        return None
    options: dict[str, object] = {f"{prefix}cert_reqs": ssl.CERT_REQUIRED}
    if authority is not None:
        options[f"{prefix}ca_certs"] = str(authority)
    if prefix:
        options["ssl_check_hostname"] = True
    else:
        options["server_hostname"] = None  # the host of the address, and nobody else
    return options


def _transport_options(settings: Settings) -> dict[str, object]:
    if not _is_redis(settings):
        return {}  # py-amqp gives up a connection that takes nothing for a second, by itself
    longest = settings.ceiling_execution_time_seconds + VISIBILITY_SLACK
    return {
        # A message that comes again while its execution runs is harmless, but wakes a worker for
        # nothing. What a dead worker held comes sooner: the sweep sends it from the database.
        "visibility_timeout": int(longest),
        # Of each queue Redis keeps a list a priority; the most urgent that has something is read.
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
    except BROKER_ERRORS as error:
        log.warning("broker_unavailable", execution=str(execution_id), error=str(error))
        return False
    return True


def send_cancel(execution_id: UUID) -> None:
    """Tell all workers at once; the heartbeat tells them anyway, later."""
    # Celery's own broadcast waits for a broker that is away without an end, and whoever rings the
    # doorbell with it; so the message is published here.
    exchange = app.control.mailbox.exchange  # type: ignore[attr-defined]
    message = {
        "method": CANCEL_COMMAND,
        "arguments": {"execution_id": str(execution_id)},
        "destination": None,  # all workers
    }
    try:
        with app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                message,
                exchange=exchange.name,
                declare=[exchange],
                serializer="json",
                # Once more at once: what fails may be a connection from before a restart.
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0},
            )
    except BROKER_ERRORS as error:
        log.warning("broker_unavailable", execution=str(execution_id), error=str(error))
