"""Writes an outcome and all that belongs to it in one transaction, fenced by the claim."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from models.sandbox import Outcome
from models.session import transaction
from models.status import Reason, Status
from models.tables import Artifact, ExecutionRow
from worker import batches, fault_points, shares
from worker.claims import Claim, LeaseLostError, fence, fenced, tell_network


def record(claim: Claim, outcome: Outcome, results: Sequence[batches.Row] = ()) -> bool:
    """Record the outcome and its artifacts; return whether Celery waits for a reply.

    `results` are those of a batch that could not be stored before. The tenant's next execution is
    let in. Raises LeaseLostError.
    """
    truncated = [name for name in ("stdout", "stderr") if getattr(outcome, name).truncated]
    with transaction() as session:
        held = select(ExecutionRow.cancel_requested_at).where(*fence(claim)).with_for_update()
        found = session.execute(held).first()
        if found is None:
            raise LeaseLostError
        if found.cancel_requested_at is not None and outcome.status is not Status.CANCELLED:
            # Whoever asked was told that it ends as cancelled; what the program left is kept.
            so_far = outcome.message or "the program had ended by then"
            outcome = replace(
                outcome,
                status=Status.CANCELLED,
                reason=Reason.CANCEL_REQUESTED,
                message=f"cancelled on request; {so_far}",
            )
        tell_network(session, claim, outcome)
        # Before the status: the final audit event covers the results and the artifacts.
        batches.store(session, results)
        if outcome.artifacts:
            session.execute(insert(Artifact), _artifact_rows(claim.execution_id, outcome))
        batch = {} if outcome.batch is None else {"batch": outcome.batch}
        row = session.execute(
            fenced(claim)
            .values(
                **batch,
                status=outcome.status,
                reason=outcome.reason,
                message=outcome.message,
                exit_code=outcome.exit_code,
                signal=outcome.signal,
                stdout=outcome.stdout.kept,
                stdout_bytes=outcome.stdout.total_bytes,
                stderr=outcome.stderr.kept,
                stderr_bytes=outcome.stderr.total_bytes,
                output_truncated=truncated,
                result=outcome.result,
                warnings=list(outcome.warnings),
                usage=outcome.usage,
                isolation=outcome.isolation,
                network=outcome.network,
            )
            .returning(ExecutionRow.reply_pending, ExecutionRow.tenant_id)
        ).one()
        fault_points.reach("inside_outcome")
    fault_points.reach("after_outcome")
    shares.refill(row.tenant_id)
    return bool(row.reply_pending)


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
