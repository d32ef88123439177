"""The periodic sweep over the database: what was lost is found and moved on.

Safe to run in several places at once; one of them does the work, the others return.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Integer, Row, cast, delete, func, select, update
from sqlalchemy.orm import Session

from models.session import transaction
from models.settings import Settings
from models.status import Reason, Status
from models.tables import ExecutionRow, WorkerHeartbeat
from worker import replies
from worker.app import send_execute

log = structlog.get_logger()

BATCH = 500  # rows moved by one sweep
MAX_RESEND_DOUBLINGS = 6  # the resend interval grows up to 64 times
FORGET_WORKERS_AFTER = timedelta(days=1)
SWEEP_LOCK = 0x41435357  # advisory lock number, "ACSW"


def sweep(settings: Settings) -> dict[str, int]:
    """Expire leases, send what was never heard, store missing replies; return the counts."""
    with transaction() as session:
        if not session.scalar(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            return {}
        expired = _expire_leases(session, settings)
        unheard = _take_unheard(session, settings)
        _forget_workers(session)
    for row in unheard:
        if not send_execute(row.id, row.priority):
            break
    return {"expired": expired, "sent": len(unheard), "replies": replies.send_pending()}


def _expire_leases(session: Session, settings: Settings) -> int:
    rows = session.scalars(
        select(ExecutionRow)
        .where(ExecutionRow.status == Status.RUNNING, ExecutionRow.lease_expires_at < func.now())
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        log.warning("lease_expired", execution=str(row.id), worker=row.lease_owner)
        _move_on(row, settings)
    session.flush()
    return len(rows)


def _move_on(row: ExecutionRow, settings: Settings) -> None:
    if row.cancel_requested_at is not None:
        row.status, row.reason = Status.CANCELLED, Reason.CANCEL_REQUESTED
        row.message = "cancelled; its worker was lost"
    elif row.user_starts < row.max_attempts and row.attempt < settings.max_claims:
        row.status, row.next_send_at = Status.QUEUED, func.now()
    else:
        row.status, row.reason = Status.LOST, Reason.WORKER_LOST
        row.message = f"its worker was lost; the program was started {row.user_starts} times"


def _take_unheard(session: Session, settings: Settings) -> Sequence[Row[UUID, int]]:
    """Return what is due to be sent again, each with a longer wait until the next time."""
    due = (
        select(ExecutionRow.id)
        .where(ExecutionRow.status == Status.QUEUED, ExecutionRow.next_send_at <= func.now())
        .order_by(ExecutionRow.next_send_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    doublings = func.least(ExecutionRow.send_count, MAX_RESEND_DOUBLINGS)
    rows = session.execute(
        update(ExecutionRow)
        .where(ExecutionRow.id.in_(due))
        .values(
            send_count=ExecutionRow.send_count + 1,
            next_send_at=func.now()
            + func.make_interval(0, 0, 0, 0, 0, 0, settings.resend_seconds)
            * cast(func.power(2, doublings), Integer),
        )
        .returning(ExecutionRow.id, ExecutionRow.priority)
    ).all()
    return rows


def _forget_workers(session: Session) -> None:
    session.execute(
        delete(WorkerHeartbeat).where(
            WorkerHeartbeat.heartbeat_at < func.now() - FORGET_WORKERS_AFTER
        )
    )
