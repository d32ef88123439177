"""Liveness, readiness and metrics; open to whoever reaches the port."""

import threading
import time
from typing import Literal

from fastapi import APIRouter, Response
from kombu.exceptions import OperationalError
from pydantic import BaseModel
from sqlalchemy import func, select

from api import metrics
from models.errors import StoreUnavailableError
from models.session import transaction
from models.settings import load_settings
from models.tables import WorkerHeartbeat
from worker.app import BROKER_TIMEOUT
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


_lock = threading.Lock()
_cached: tuple[float, Readiness] | None = None


@router.get("/health")
async def health() -> Alive:
    """Say that the process lives."""
    return Alive()


@router.get("/health/ready", responses={503: {"model": Readiness, "description": "Not ready"}})
def ready(response: Response) -> Readiness:
    """Check database, broker and whether a worker lives that can start sandboxes."""
    global _cached  # noqa: PLW0603 - one small cache for the process
    with _lock:
        if _cached is None or time.monotonic() - _cached[0] > CACHE_SECONDS:
            _cached = (time.monotonic(), _check())
        readiness = _cached[1]
    response.status_code = 200 if readiness.ready else 503
    return readiness


@router.get("/metrics", response_class=Response)
def prometheus() -> Response:
    """Metrics in the Prometheus text format."""
    if not load_settings().metrics_enabled:
        return Response(status_code=404)
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


def _check() -> Readiness:
    database, workers = _database_and_workers()
    broker = _broker()
    parts = (database, broker, workers)
    return Readiness(
        ready=all(part.startswith("ok") for part in parts),
        database=database,
        broker=broker,
        workers=workers,
    )


def _database_and_workers() -> tuple[str, str]:
    settings = load_settings()
    try:
        with transaction() as session:
            oldest = func.now() - func.make_interval(
                0, 0, 0, 0, 0, 0, MISSED_HEARTBEATS * settings.heartbeat_seconds
            )
            errors = session.scalars(
                select(WorkerHeartbeat.engine_error).where(WorkerHeartbeat.heartbeat_at > oldest)
            ).all()
    except StoreUnavailableError as error:
        return str(error), "unknown without the database"
    return "ok", _workers(list(errors))


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
    except (OperationalError, OSError):
        return "the broker does not answer"
    return "ok"
