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
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from psycopg.errors import LockNotAvailable
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.errors import StoreUnavailableError, TenantBusyError
from models.session import autocommit
from models.settings import load_settings
from models.tables import ExecutionRow
from worker import doorbell

log = structlog.get_logger()

TENANTS = 500  # tenants looked after by one sweep

# Functions of the database (migration 0006): the turn and what is done in it are one round trip.
# They wait 2 s for their turn, which takes milliseconds: who waits longer waits for a process that
# hangs, and one tenant's trouble must not hold the connections and threads of all others.
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
class Placed:
    """What came of an execution that was to be queued, and what its tenant had queued before."""

    is_new: bool  # false: the queue is full, or the id or idempotency key is taken
    is_released: bool  # else it has to wait for another to leave
    queued: int  # counted no further than the limit
    created_at: datetime | None  # of a new one


def place(session: Session, row: dict[str, Any]) -> Placed:
    """Insert an execution into its tenant's queue, and let it in if the share has room.

    The turn, the counts and the row are one statement: in `autocommit` the turn is over before
    the answer is on its way. Raises TenantBusyError.
    """
    settings = load_settings()
    values = {
        "most": settings.tenant_max_running,
        "queue": settings.tenant_max_queued,
        "resend": settings.resend_seconds,
    }
    with _turn():
        found = session.execute(_place(tuple(sorted(row))), row | values).one()
    return Placed(
        is_new=found.created_at is not None,
        is_released=found.created_at is not None and found.has_room,
        queued=found.queued,
        created_at=found.created_at,
    )


@lru_cache
def _place(columns: tuple[str, ...]) -> TextClause:
    # While others are held, nobody goes before them.
    statement = text(f"""
        WITH load AS MATERIALIZED (
            SELECT least(:queue, n_waiting + n_held) AS queued,
                n_released < :most AND n_held = 0 AS has_room
            FROM tenant_load(:tenant_id, :most, :queue)
        ), placed AS (
            INSERT INTO executions ({", ".join(columns)}, released, next_send_at)
            SELECT {", ".join(f":{name}" for name in columns)}, has_room,
                now() + make_interval(secs => :resend)
            FROM load WHERE queued < :queue
            ON CONFLICT DO NOTHING RETURNING created_at
        )
        SELECT has_room, queued, (SELECT created_at FROM placed) AS created_at FROM load
    """)  # noqa: S608 - the names of our own columns
    types = ExecutionRow.__table__.c
    return statement.bindparams(*(bindparam(name, type_=types[name].type) for name in columns))


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
