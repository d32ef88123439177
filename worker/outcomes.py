"""Writes an outcome and all that belongs to it in one transaction, fenced by the claim."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, bindparam, insert, select, text
from sqlalchemy.orm import Session

from models.sandbox import Outcome
from models.session import autocommit, transaction
from models.status import Reason, Status
from models.tables import Artifact, ExecutionRow
from worker import batches, fault_points, shares
from worker.claims import Claim, LeaseLostError, fence, tell_network


def record(claim: Claim, outcome: Outcome, results: Sequence[batches.Row] = ()) -> bool:
    """Record the outcome and its artifacts; return whether Celery waits for a reply.

    `results` are those of a batch that could not be stored before. The tenant's next execution is
    let in. Raises LeaseLostError.
    """
    row = None
    if not (results or outcome.network_events or outcome.artifacts):
        with autocommit() as session:  # one statement is a transaction
            row = _end(session, claim, outcome)
    if row is None:
        with transaction() as session:
            row = _with_all(session, claim, outcome, results)
            fault_points.reach("inside_outcome")
    fault_points.reach("after_outcome")
    shares.refill(row.tenant_id)
    return bool(row.reply_pending)


def _with_all(
    session: Session, claim: Claim, outcome: Outcome, results: Sequence[batches.Row]
) -> Row[Any]:
    """Write what comes with the outcome, and then the row. Raises LeaseLostError."""
    outcome = _as_told(session, claim, outcome)
    tell_network(session, claim, outcome)
    # Before the status: the final audit event covers the results and the artifacts.
    batches.store(session, results)
    if outcome.artifacts:
        session.execute(insert(Artifact), _artifact_rows(claim.execution_id, outcome))
    row = _end(session, claim, outcome)
    assert row is not None  # noqa: S101 - it is locked, and nobody was faster
    return row


def _as_told(session: Session, claim: Claim, outcome: Outcome) -> Outcome:
    """Lock the row; return the outcome, or that of a cancel that came first.

    Raises LeaseLostError.
    """
    held = select(ExecutionRow.cancel_requested_at).where(*fence(claim)).with_for_update()
    found = session.execute(held).first()
    if found is None:
        raise LeaseLostError
    if found.cancel_requested_at is None or outcome.status is Status.CANCELLED:
        return outcome
    # Whoever asked was told that it ends as cancelled; what the program left is kept.
    return replace(
        outcome,
        status=Status.CANCELLED,
        reason=Reason.CANCEL_REQUESTED,
        message=f"cancelled on request; {outcome.message or 'the program had ended by then'}",
    )


def _end(session: Session, claim: Claim, outcome: Outcome) -> Row[Any] | None:
    """Write the row; None when the claim is lost, or a cancel came that the outcome denies."""
    values = {
        "status": outcome.status,
        "reason": outcome.reason,
        "message": outcome.message,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "stdout": outcome.stdout.kept,
        "stdout_bytes": outcome.stdout.total_bytes,
        "stderr": outcome.stderr.kept,
        "stderr_bytes": outcome.stderr.total_bytes,
        "output_truncated": [
            name for name in ("stdout", "stderr") if getattr(outcome, name).truncated
        ],
        "result": outcome.result,
        "warnings": list(outcome.warnings),
        "usage": outcome.usage,
        "isolation": outcome.isolation,
        "network": outcome.network,
    }
    held = {"id": claim.execution_id, "attempt": claim.attempt, "running": Status.RUNNING}
    others = {"batch": outcome.batch} | held
    return session.execute(_write(tuple(values)), values | others).first()


@lru_cache
def _write(columns: tuple[str, ...]) -> TextClause:
    """Return the statement; to build it for each outcome takes longer than it."""
    statement = text(f"""
        UPDATE executions SET {", ".join(f"{name} = :{name}" for name in columns)},
            batch = coalesce(:batch, batch)
        WHERE id = :id AND attempt = :attempt AND status = :running
            AND (cancel_requested_at IS NULL OR :status = 'cancelled')
        RETURNING reply_pending, tenant_id
    """)  # noqa: S608 - the names of our own columns
    types = ExecutionRow.__table__.c
    typed = (bindparam(name, type_=types[name].type) for name in (*columns, "batch"))
    return statement.bindparams(*typed)


def _artifact_rows(execution_id: UUID, outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {
            "execution_id": execution_id,
            "path": artifact.path,
            "size": len(artifact.content),
            "sha256": hashlib.sha256(artifact.content).hexdigest(),
            "content": artifact.content,
        }
        for artifact in outcome.artifacts
    ]
