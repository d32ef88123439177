"""From the rows of a batch's results to pages that are bounded in items and in bytes."""

import json
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import NoBatchError, NotFoundError
from models.results import InputResult, ResultPage
from models.status import Status
from models.tables import BatchResultRow, ExecutionRow
from models.views import stream_view

# Bytes of streams and results after which a page is full; as JSON it has up to six times that.
MAX_PAGE_BYTES = 1_048_576
ROWS_AT_ONCE = 50  # read from the database; each may hold some hundreds of kilobytes


def load_results(
    session: Session, execution_id: UUID, tenant_id: UUID, *, after: int, limit: int
) -> ResultPage:
    """Return the results of a higher index than `after`, at most `limit`, in their order.

    They are those of the current attempt. Raises NotFoundError, also for another tenant's, or
    NoBatchError.
    """
    # First: what has ended by now has all its results.
    status, attempt = _standing(session, execution_id, tenant_id)
    rows = session.scalars(
        select(BatchResultRow)
        .where(
            BatchResultRow.execution_id == execution_id,
            BatchResultRow.attempt == attempt,
            BatchResultRow.index > after,
        )
        .order_by(BatchResultRow.index)
        .limit(limit)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    items: list[InputResult] = []
    left = MAX_PAGE_BYTES
    for row in rows:
        items.append(_result_view(row))
        left -= len(row.stdout) + len(row.stderr) + len(row.result or "")
        if left <= 0:
            break
    is_last = left > 0 and len(items) < limit
    return ResultPage(
        items=tuple(items),
        next=items[-1].index if items else after,
        complete=status.is_terminal and is_last,
    )


def _standing(session: Session, execution_id: UUID, tenant_id: UUID) -> tuple[Status, int]:
    row = session.execute(
        select(ExecutionRow.status, ExecutionRow.attempt, ExecutionRow.batch).where(
            ExecutionRow.id == execution_id, ExecutionRow.tenant_id == tenant_id
        )
    ).first()
    if row is None:
        raise NotFoundError(f"no execution {execution_id}")
    if row.batch is None:
        raise NoBatchError
    return Status(row.status), row.attempt


def _result_view(row: BatchResultRow) -> InputResult:
    return InputResult.model_validate(
        {
            "index": row.index,
            "attempt": row.attempt,
            "status": row.status,
            "reason": row.reason,
            "exit_code": row.exit_code,
            "signal": row.signal,
            "stdout": stream_view(row, "stdout"),
            "stderr": stream_view(row, "stderr"),
            "result": None if row.result is None else json.loads(row.result),
            "result_truncated": "result" in (row.output_truncated or ()),
            "wall_seconds": row.wall_seconds,
        }
    )
