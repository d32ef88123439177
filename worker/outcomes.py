"""Writes an outcome and all that belongs to it in one transaction, fenced by the claim."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select, text
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


def recorded(claim: Claim, outcome: Outcome) -> bool | None:
    """Return whether Celery waits for a reply if this attempt has ended so; else None.

    For whoever does not know what became of `record`: its answer was lost.
    """
    ended = select(ExecutionRow.reply_pending).where(
        ExecutionRow.id == claim.execution_id,
        ExecutionRow.attempt == claim.attempt,
        ExecutionRow.status == outcome.status,
        ExecutionRow.finished_at.is_not(None),
    )
    with autocommit() as session:
        return session.scalar(ended)


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
    if row is None:  # it is locked: nobody can have been faster
        raise LeaseLostError
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


# Made once; to make it for each outcome takes longer than the database needs for it.
_COLUMNS = (
    *("status", "reason", "message", "exit_code", "signal"),
    *("stdout", "stdout_bytes", "stderr", "stderr_bytes", "output_truncated"),
    *("result", "warnings", "usage", "isolation", "network"),
)
_END = text(f"""
    UPDATE executions SET {", ".join(f"{name} = :{name}" for name in _COLUMNS)},
        batch = coalesce(:batch, batch)
    WHERE id = :id AND attempt = :attempt AND status = :running
        AND (cancel_requested_at IS NULL OR :status = 'cancelled')
    RETURNING reply_pending, tenant_id
""").bindparams(  # noqa: S608 - the names of our own columns
    *(bindparam(name, type_=ExecutionRow.__table__.c[name].type) for name in (*_COLUMNS, "batch"))
)


def _end(session: Session, claim: Claim, outcome: Outcome) -> Row[Any] | None:
    """Write the row; None when the claim is lost, or a cancel came that the outcome denies."""
    streams = {"stdout": outcome.stdout, "stderr": outcome.stderr}
    values = {name: getattr(outcome, name) for name in _COLUMNS if hasattr(outcome, name)}
    values |= {
        "warnings": list(outcome.warnings),
        "output_truncated": [name for name, stream in streams.items() if stream.truncated],
        **{name: stream.kept for name, stream in streams.items()},
        **{f"{name}_bytes": stream.total_bytes for name, stream in streams.items()},
    }
    held = {"id": claim.execution_id, "attempt": claim.attempt, "running": Status.RUNNING}
    return session.execute(_END, values | held | {"batch": outcome.batch}).first()


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
