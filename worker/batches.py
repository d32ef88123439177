"""Stores the runs of a batch while it goes on, fenced by the claim."""

import json
import time
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from models.errors import StoreUnavailableError
from models.sandbox import InputOutcome
from models.session import transaction
from models.tables import BatchResultRow, ExecutionRow
from worker.claims import Claim, LeaseLostError, fence

log = structlog.get_logger()

Row = dict[str, Any]

ROWS_AT_ONCE = 200  # of one statement; each may hold some hundreds of kilobytes
RETRY_SECONDS = 2  # between two tries while the database is away: each may hang for a while

_TYPES = {
    column.name: column.type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]
    for column in BatchResultRow.__table__.columns
}
# One array a column: a thirtieth of the work that a parameter for each value makes.
_ARRAYS = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _TYPES.items())
_INSERT = text(
    f"INSERT INTO batch_results ({', '.join(_TYPES)}) "  # noqa: S608 - names of our own table
    f"SELECT * FROM unnest({_ARRAYS}) ON CONFLICT DO NOTHING"
)


class ResultWriter:
    """Stores the results of one attempt; for the one thread that runs it.

    `unwritten` is what came while the database was away; it belongs into the transaction of the
    outcome. What all runs left is bounded by `max_bytes`, and so is this.
    """

    def __init__(self, claim: Claim, max_bytes: int) -> None:
        self._claim = claim
        self._room = max_bytes
        self._retry_at = 0.0
        self.unwritten: list[Row] = []

    def take(self, runs: Sequence[InputOutcome]) -> None:
        """Store runs that ended, or keep them while the database is away.

        Raises LeaseLostError.
        """
        self.unwritten += [self._row(run) for run in runs]
        if not self.unwritten or time.monotonic() < self._retry_at:
            return
        try:
            self._write()
        except StoreUnavailableError:
            log.warning("store_unavailable", waiting_results=len(self.unwritten))
            self._retry_at = time.monotonic() + RETRY_SECONDS

    def _write(self) -> None:
        with transaction() as session:
            # Shared: a heartbeat waits for us, and whoever ends the execution.
            held = select(ExecutionRow.id).where(*fence(self._claim)).with_for_update(read=True)
            if session.scalar(held) is None:
                raise LeaseLostError
            store(session, self.unwritten)
        self.unwritten = []

    def _row(self, run: InputOutcome) -> Row:
        """Return the row of a run, without its output once the batch has left too much."""
        kept = {"stdout": run.stdout.kept, "stderr": run.stderr.kept, "result": run.result}
        cut = [name for name in ("stdout", "stderr") if getattr(run, name).truncated]
        size = len(run.stdout.kept) + len(run.stderr.kept) + len((run.result or "").encode())
        if size > self._room:
            cut = sorted({*cut, *(name for name, content in kept.items() if content)})
            kept = {"stdout": b"", "stderr": b"", "result": None}
        else:
            self._room -= size
        return {
            "execution_id": self._claim.execution_id,
            "attempt": self._claim.attempt,
            "index": run.index,
            "status": run.status,
            "reason": run.reason,
            "exit_code": run.exit_code,
            "signal": run.signal,
            "stdout_bytes": run.stdout.total_bytes,
            "stderr_bytes": run.stderr.total_bytes,
            "output_truncated": json.dumps(cut) if cut else None,
            "wall_seconds": run.wall_seconds,
            **kept,
        }


def store(session: Session, rows: Sequence[Row]) -> None:
    """Insert results in the session's transaction; those that are there already are passed over.

    A commit whose answer was lost may have happened. The caller holds the execution's row.
    """
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chunk = rows[start : start + ROWS_AT_ONCE]
        # In one statement: the database checks each statement, not each row.
        session.execute(_INSERT, {name: [row[name] for row in chunk] for name in _TYPES})
