"""Liveness, readiness and metrics; open to whoever reaches the port."""

import threading
import time
from typing import Literal

from amqp.exceptions import AMQPError
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import func, select

from api import metrics
from models.errors import StoreUnavailableError
from models.session import autocommit
from models.settings import load_settings
from models.tables import SWEEP_ID, WorkerHeartbeat
from worker.app import BROKER_ERRORS, BROKER_TIMEOUT
from worker.app import app as celery

router = APIRouter(tags=["health"])

MISSED_HEARTBEATS = 4  # after which a worker counts as gone
CACHE_SECONDS = 1.0  # strangers may ask; the database and the broker are asked once a second


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether executions can be accepted and run, part by part."""

    ready: bool
    database: str
    broker: str
    workers: str
    sweep: str


class _Cache:
    """The last readiness; one thread checks, and all others are answered with what is known."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        self._last: Readiness | None = None

    def get(self) -> Readiness:
        stale = time.monotonic() - self._checked_at > CACHE_SECONDS
        # Nobody queues for a check but at the very start, when there is nothing to tell.
        if stale and self._lock.acquire(blocking=self._last is None):
            try:
                self._last = _check()
                self._checked_at = time.monotonic()
            finally:
                self._lock.release()
        assert self._last is not None  # noqa: S101 - set above, or by the thread that was faster
        return self._last


_cache = _Cache()
RETRY_AFTER = "5"  # seconds; what is checked is looked at again about so often


@router.get("/health")
async def health() -> Alive:
    """Say that the process lives."""
    return Alive()


@router.get("/health/ready", responses={503: {"model": Readiness, "description": "Not ready"}})
def ready(response: Response) -> Readiness:
    """Check database, broker and whether a worker lives that can start sandboxes."""
    readiness = _cache.get()
    response.status_code = 200 if readiness.ready else 503
    if not readiness.ready:
        response.headers["Retry-After"] = RETRY_AFTER
    return readiness


@router.get("/metrics", response_class=Response)
def prometheus() -> Response:
    """Metrics in the Prometheus text format."""
    if not load_settings().metrics_enabled:
        return Response(status_code=404)
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


def _check() -> Readiness:
    database, workers, sweep = _database_workers_sweep()
    broker = _broker()
    parts = (database, broker, workers, sweep)
    return Readiness(
        ready=all(part.startswith("ok") for part in parts),
        database=database,
        broker=broker,
        workers=workers,
        sweep=sweep,
    )


def _database_workers_sweep() -> tuple[str, str, str]:
    settings = load_settings()
    age = func.extract("epoch", func.now() - WorkerHeartbeat.heartbeat_at)
    try:
        with autocommit() as session:
            rows = session.execute(
                select(WorkerHeartbeat.worker_id, WorkerHeartbeat.engine_error, age)
            ).all()
    except StoreUnavailableError as error:
        return str(error), "unknown without the database", "unknown without the database"
    missed = MISSED_HEARTBEATS * settings.heartbeat_seconds
    errors = [error for name, error, old in rows if name != SWEEP_ID and old < missed]
    missed = MISSED_HEARTBEATS * settings.sweep_seconds
    swept = any(name == SWEEP_ID and old < missed for name, _, old in rows)
    return "ok", _workers(errors), "ok" if swept else _NO_SWEEP


_NO_SWEEP = (
    "nothing sweeps: start 'python -m worker control' and 'python -m worker beat'; "
    "without them nothing lost is found"
)


def _workers(errors: list[str | None]) -> str:
    able = errors.count(None)
    if able:
        return f"ok: {able} of {len(errors)} can start sandboxes"
    if errors:
        return "no worker can start sandboxes: the container engine does not answer"
    return "no worker is alive: start one with 'python -m worker run'"


def _broker() -> str:
    try:
        with celery.connection_for_write(connect_timeout=BROKER_TIMEOUT) as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT)
    except AMQPError:
        return "the broker refuses the user, its password or its virtual host"
    except BROKER_ERRORS:
        return "the broker does not answer"
    return "ok"
