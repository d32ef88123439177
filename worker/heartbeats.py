"""The list of those that live: one row a worker, and one of the sweep."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from models.session import autocommit
from models.status import Status
from models.tables import ExecutionRow, WorkerHeartbeat


def report_worker(
    worker_id: str, *, host: str, slots: int, running: int, engine_error: str | None
) -> None:
    """Record that this worker lives and whether it can start sandboxes."""
    with autocommit() as session:
        beat(session, worker_id, host=host, slots=slots, running=running, engine_error=engine_error)


def beat(session: Session, worker_id: str, **values: Any) -> None:
    """Write a heartbeat row in the session's transaction."""
    statement = upsert(WorkerHeartbeat).values(worker_id=worker_id, **values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["worker_id"], set_={**values, "heartbeat_at": func.now()}
        )
    )


def forget_worker(worker_id: str) -> None:
    """Take a worker off the list of those that start sandboxes."""
    with autocommit() as session:
        session.execute(delete(WorkerHeartbeat).where(WorkerHeartbeat.worker_id == worker_id))


def is_alive(worker_id: str, lease_seconds: float) -> bool:
    """Whether a worker has reported itself within a lease, or holds one: it may be draining."""
    recent = func.now() - timedelta(seconds=lease_seconds)
    reported = exists().where(
        WorkerHeartbeat.worker_id == worker_id, WorkerHeartbeat.heartbeat_at > recent
    )
    running = exists().where(
        ExecutionRow.lease_owner == worker_id,
        ExecutionRow.status == Status.RUNNING,
        ExecutionRow.lease_expires_at > func.now(),
    )
    with autocommit() as session:
        return bool(session.scalar(select(or_(reported, running))))
