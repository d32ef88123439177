"""Each tenant's share: how many of its executions are let in at once.

A message carries one execution's id, so fairness is in how many of a tenant's messages are with
the broker. At most `tenant_max_running` of a tenant's executions are released, that is running or
known to the workers; the others are held in the database, and each that leaves lets in the next
one. Only what is released can be claimed, so that the same number bounds what runs.

Releases of one tenant take turns on an advisory lock. It is taken first in its transaction, or
the transaction does nothing else, so that it is never waited for with a row in hand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.errors import StoreUnavailableError, TenantBusyError
from models.session import autocommit
from models.settings import load_settings
from worker import doorbell

log = structlog.get_logger()

TENANTS = 500  # tenants looked after by one sweep

# Functions of the database (migration 0006): the turn and what is done in it are one round trip.
# They wait 2 s for their turn, which takes milliseconds: who waits longer waits for a process that
# hangs, and one tenant's trouble must not hold the connections and threads of all others.
_LOAD = text("SELECT n_released, n_waiting, n_held FROM tenant_load(:tenant, :most, :queue)")
_LET_IN = text("SELECT execution, urgency, since FROM let_in(:tenant, :most, :resend)")
# From each tenant that has something held to the next of them: neither the tenants that have not
# are looked at, nor all that is held. Written out, as the partial indexes are.
_WITH_ROOM = text("""
WITH RECURSIVE waiting AS (
    (SELECT tenant_id FROM executions WHERE NOT released AND status = 'queued'
        ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT next.tenant_id FROM waiting, LATERAL (SELECT tenant_id FROM executions
        WHERE NOT released AND status = 'queued' AND tenant_id > waiting.tenant_id
        ORDER BY tenant_id LIMIT 1) AS next
)
SELECT tenant_id FROM waiting WHERE (SELECT count(*) FROM (SELECT 1 FROM executions
        WHERE tenant_id = waiting.tenant_id AND released AND status IN ('queued', 'running')
        LIMIT :most) AS r) < :most
LIMIT :tenants
""")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a tenant has in the queue, counted no further than the limits."""

    queued: int
    is_full: bool  # the next execution has to wait for another to leave


def measure(session: Session, tenant_id: UUID) -> Load:
    """Return a tenant's load, which changes no more until this transaction ends.

    To be called before the transaction locks or inserts any row. Raises TenantBusyError.
    """
    settings = load_settings()
    most, queue = settings.tenant_max_running, settings.tenant_max_queued
    with _turn():
        found = session.execute(_LOAD, {"tenant": tenant_id, "most": most, "queue": queue}).one()
    # While others are held, nobody goes before them.
    return Load(
        queued=min(queue, found.n_waiting + found.n_held),
        is_full=found.n_released >= most or found.n_held > 0,
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
        with autocommit() as session, _turn():
            released = session.execute(_LET_IN, values).all()
    except StoreUnavailableError as error:
        log.warning("share_not_refilled", tenant=str(tenant_id), error=str(error))
        return 0
    for row in sorted(released, key=lambda row: (-row.urgency, row.since)):
        doorbell.ring(row.execution, row.urgency)
    return len(released)


def refill_all() -> int:
    """Let in what waits although there is room, for every tenant; return how many."""
    values = {"most": load_settings().tenant_max_running, "tenants": TENANTS}
    with autocommit() as session:
        tenants = session.scalars(_WITH_ROOM, values).all()
    return sum(refill(tenant_id) for tenant_id in tenants)


@contextmanager
def _turn() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise TenantBusyError("another request of this tenant hangs; try again") from error
