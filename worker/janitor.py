"""The periodic sweep over the database: what was lost is found and moved on.

Safe to run in several places at once: what one of them has in hand the others pass over.
"""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, false, func, select, text, update
from sqlalchemy.orm import Session

from models.execution import MAX_PRIORITY
from models.session import autocommit, transaction
from models.settings import Settings
from models.status import Reason, Status
from models.tables import RUNNING, SWEEP_ID, ExecutionRow, WorkerHeartbeat
from worker import replies, shares
from worker.app import send_execute
from worker.heartbeats import beat

log = structlog.get_logger()

# What becomes of an execution whose lease expired, as metrics call it.
MOVED = {Status.QUEUED: "requeued", Status.CANCELLED: "cancelled", Status.LOST: "lost"}
BATCH = 500  # rows moved by one sweep
MAX_RESEND_DOUBLINGS = 3  # the resend interval grows up to 8 times; messages may be lost again
FORGET_WORKERS_AFTER = timedelta(days=1)
SWEEP_LOCK = 0x41435357  # advisory lock number, "ACSW"


# Each waits longer until its next time.
_TAKE_DUE = text(f"""
WITH due AS MATERIALIZED (
    SELECT id, next_send_at FROM executions
    WHERE status = 'queued' AND released AND next_send_at <= now()
    ORDER BY next_send_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
)
UPDATE executions SET send_count = send_count + 1,
    next_send_at = now() + make_interval(secs => :resend * 2 ^ least(send_count, :doublings))
FROM due WHERE executions.id = due.id
RETURNING executions.id, due.next_send_at AS due_at
""")  # noqa: S608 - a number of ours, so that the plan knows it


class Patience:
    """Lets leases pass once after an outage, so that their owners can renew or record first.

    A lease that ran out while nobody reached the database says nothing about its worker.
    """

    def __init__(self) -> None:
        self._seen_since = float("inf")
        self._last_seen = float("-inf")

    def saw_the_database(self, settings: Settings) -> bool:
        """Note a successful sweep; return whether leases may be expired."""
        now = time.monotonic()
        if now - self._last_seen > max(settings.lease_seconds / 2, 3 * settings.sweep_seconds):
            self._seen_since = now
        self._last_seen = now
        return now - self._seen_since >= settings.lease_seconds


_patience = Patience()


def sweep(settings: Settings) -> dict[str, int]:
    """Expire leases, let in what has room, send what was never heard, store missing replies.

    Returns the counts.
    """
    with transaction() as session:
        if not session.scalar(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            return {}
        beat(session, SWEEP_ID, host="", slots=0, running=0, engine_error=None)
        # The database counts as seen once it lets the executions be read: a migration may not.
        session.scalar(select(ExecutionRow.id).where(false()))
        expired: Counter[Status] = Counter()
        if _patience.saw_the_database(settings):
            expired = _expire_leases(session, settings)
        _forget_workers(session)
    return {
        "expired": expired.total(),
        **{MOVED[status]: number for status, number in expired.items()},
        "released": shares.refill_all(),
        "sent": _send_unheard(settings),
        "replies": replies.send_pending(),
    }


def _expire_leases(session: Session, settings: Settings) -> Counter[Status]:
    """Move on what lost its worker; return how many have which status now."""
    rows = session.scalars(
        select(ExecutionRow)
        .where(RUNNING, ExecutionRow.lease_expires_at < func.now())
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        log.warning("lease_expired", execution=str(row.id), worker=row.lease_owner)
        _move_on(row, settings)
    session.flush()
    return Counter(Status(row.status) for row in rows)


def _move_on(row: ExecutionRow, settings: Settings) -> None:
    if row.cancel_requested_at is not None:
        row.status, row.reason = Status.CANCELLED, Reason.CANCEL_REQUESTED
        row.message = "cancelled; its worker was lost"
    elif row.user_starts < row.max_attempts and row.failed_starts < settings.max_failed_starts:
        row.status, row.next_send_at = Status.QUEUED, func.now()
        row.failed_starts += 1  # whatever ends its workers is not tried for ever
    else:
        row.status, row.reason = Status.LOST, Reason.WORKER_LOST
        row.message = f"its worker was lost; starts of the program: {row.user_starts}"


def _send_unheard(settings: Settings) -> int:
    """Send what is due again. Stops at a deaf broker.

    It goes to the front: what has waited so long shall not wait for ever behind the more urgent
    work of others. Sent after the commit: no row is locked while a broker is waited for.
    """
    with autocommit() as session:
        values = {"resend": settings.resend_seconds, "doublings": MAX_RESEND_DOUBLINGS}
        due = session.execute(_TAKE_DUE, values).all()
    ids = [row.id for row in sorted(due, key=lambda row: row.due_at)]
    for sent, execution_id in enumerate(ids):
        if not send_execute(execution_id, MAX_PRIORITY):
            _due_again(ids[sent:])
            return sent
    return len(ids)


def _due_again(ids: Sequence[UUID]) -> None:
    """Mark what a deaf broker did not take as not sent: the next sweep tries again."""
    with autocommit() as session:
        session.execute(
            update(ExecutionRow)
            .where(ExecutionRow.id.in_(ids), ExecutionRow.status == Status.QUEUED)
            .values(
                next_send_at=func.now(),
                send_count=func.greatest(ExecutionRow.send_count - 1, 0),
            )
        )


def _forget_workers(session: Session) -> None:
    session.execute(
        delete(WorkerHeartbeat).where(
            WorkerHeartbeat.heartbeat_at < func.now() - FORGET_WORKERS_AFTER
        )
    )
