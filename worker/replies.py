"""Answers `agentcore.run`: stores an ended execution as the Celery result of its id."""

from uuid import UUID

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import select, update

from models.session import autocommit
from models.status import TERMINAL
from models.tables import REPLY_DUE, ExecutionRow
from models.views import load_execution
from worker.app import app

log = structlog.get_logger()

BATCH = 100  # replies stored by one sweep


def send(execution_id: UUID) -> bool:
    """Store the reply and clear its mark; return whether that worked.

    When the broker is away the sweep tries again.
    """
    with autocommit() as session:
        tenant_id = session.scalar(
            select(ExecutionRow.tenant_id).where(ExecutionRow.id == execution_id)
        )
        if tenant_id is None:
            return True
        result = load_execution(session, execution_id, tenant_id).model_dump(mode="json")
    try:
        app.backend.store_result(str(execution_id), result, "SUCCESS")
    except (OperationalError, RedisError, OSError) as error:
        log.warning("reply_not_stored", execution=str(execution_id), error=str(error))
        return False
    with autocommit() as session:
        session.execute(
            update(ExecutionRow).where(ExecutionRow.id == execution_id).values(reply_pending=False)
        )
    return True


def send_if_ended(execution_id: UUID) -> None:
    """Store the reply of an execution that has ended; for a request that came twice."""
    with autocommit() as session:
        status = session.scalar(select(ExecutionRow.status).where(ExecutionRow.id == execution_id))
    if status in TERMINAL:
        send(execution_id)


def send_pending() -> int:
    """Store the replies that nobody stored; return how many. Stops at a deaf broker."""
    with autocommit() as session:
        ids = session.scalars(
            select(ExecutionRow.id).where(REPLY_DUE).order_by(ExecutionRow.finished_at).limit(BATCH)
        ).all()
    for count, execution_id in enumerate(ids):
        if not send(execution_id):
            return count
    return len(ids)
