"""Each tenant's share: how many of its executions are let in at once.

A message carries one execution's id, so fairness is in how many of a tenant's messages are with
the broker. At most `tenant_max_running` of a tenant's executions are released, that is running or
known to the workers; the others are held in the database, and each that leaves lets in the next
one. Only what is released can be claimed, so that the same number bounds what runs.

Releases of one tenant take turns on an advisory lock. It is taken first in its transaction, or
the transaction does nothing else, so that it is never waited for with a row in hand.
"""

from dataclasses import dataclass
from uuid import UUID

import structlog
from psycopg.errors import LockNotAvailable
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.errors import StoreUnavailableError, TenantBusyError
from models.session import transaction
from models.settings import load_settings
from worker import doorbell

log = structlog.get_logger()

LOCK = 0x41435453  # class of the advisory locks, "ACTS"
# A turn takes milliseconds: who waits longer waits for a process that hangs, and one tenant's
# trouble must not hold the connections and threads of all others.
TURN_TIMEOUT = "2s"
TENANTS = 500  # tenants looked after by one sweep

# Written out, not built: with the words as parameters a prepared plan could not use the partial
# indexes. Each count stops at its limit.
_LOAD = text("""
SELECT (SELECT count(*) FROM (SELECT 1 FROM executions
        WHERE tenant_id = :tenant AND released AND status IN ('queued', 'running')
        LIMIT :most) r) AS released,
    (SELECT count(*) FROM (SELECT 1 FROM executions
        WHERE tenant_id = :tenant AND released AND status = 'queued' LIMIT :queue) w) AS waiting,
    (SELECT count(*) FROM (SELECT 1 FROM executions
        WHERE tenant_id = :tenant AND NOT released AND status = 'queued' LIMIT :queue) h) AS held
""")
_RELEASE = text("""
WITH next AS MATERIALIZED (
    SELECT id FROM executions WHERE tenant_id = :tenant AND NOT released AND status = 'queued'
    ORDER BY priority DESC, created_at, id
    LIMIT :most - (SELECT count(*) FROM (SELECT 1 FROM executions
        WHERE tenant_id = :tenant AND released AND status IN ('queued', 'running')
        LIMIT :most) r)
    FOR UPDATE SKIP LOCKED
)
UPDATE executions SET released = true, next_send_at = now() + make_interval(secs => :resend)
FROM next WHERE executions.id = next.id
RETURNING executions.id, executions.priority, executions.created_at
""")
_WITH_ROOM = text("""
SELECT id FROM tenants WHERE EXISTS (SELECT 1 FROM executions
        WHERE tenant_id = tenants.id AND NOT released AND status = 'queued')
    AND (SELECT count(*) FROM (SELECT 1 FROM executions
        WHERE tenant_id = tenants.id AND released AND status IN ('queued', 'running')
        LIMIT :most) r) < :most
LIMIT :tenants
""")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a tenant has in the queue, counted no further than the limits."""

    queued: int
    is_full: bool  # the next execution has to wait for another to leave


def measure(session: Session, tenant_id: UUID) -> Load:
    """Return a tenant's load, which changes no more until this transaction ends.

    To be called before the transaction locks or inserts any row.
    """
    settings = load_settings()
    _take_turn(session, tenant_id)
    most, queue = settings.tenant_max_running, settings.tenant_max_queued
    found = session.execute(_LOAD, {"tenant": tenant_id, "most": most, "queue": queue}).one()
    # While others are held, nobody goes before them.
    return Load(
        queued=min(queue, found.waiting + found.held),
        is_full=found.released >= most or found.held > 0,
    )


def refill(tenant_id: UUID) -> int:
    """Let in the tenant's next executions, as many as there is room for; return how many.

    To be called after the commit that made the room. While the database is away this does
    nothing; the sweep does it later.
    """
    settings = load_settings()
    values = {
        "tenant": tenant_id,
        "most": settings.tenant_max_running,
        "resend": settings.resend_seconds,
    }
    try:
        with transaction() as session:
            _take_turn(session, tenant_id)
            released = session.execute(_RELEASE, values).all()
    except StoreUnavailableError as error:
        log.warning("share_not_refilled", tenant=str(tenant_id), error=str(error))
        return 0
    for row in sorted(released, key=lambda row: (-row.priority, row.created_at)):
        doorbell.ring(row.id, row.priority)
    return len(released)


def refill_all() -> int:
    """Let in what waits although there is room, for every tenant; return how many."""
    values = {"most": load_settings().tenant_max_running, "tenants": TENANTS}
    with transaction() as session:
        tenants = session.scalars(_WITH_ROOM, values).all()
    return sum(refill(tenant_id) for tenant_id in tenants)


def _take_turn(session: Session, tenant_id: UUID) -> None:
    """Wait for this tenant's turn. Raises TenantBusyError."""
    session.execute(text(f"SET LOCAL lock_timeout = '{TURN_TIMEOUT}'"))
    # The start of a random UUID: two tenants of one number would only wait for each other.
    number = int.from_bytes(tenant_id.bytes[:4], signed=True)
    try:
        session.execute(select(func.pg_advisory_xact_lock(LOCK, number)))
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise TenantBusyError("another request of this tenant hangs; try again") from error
