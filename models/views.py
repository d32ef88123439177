"""From rows to the contracts that others see."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Row, bindparam, exists, func, select
from sqlalchemy.orm import Session

from models.batch import BatchSummary
from models.errors import NotFoundError
from models.execution import ArtifactInfo, AuditEvent, Execution, Stream, Usage
from models.status import Status
from models.tables import Artifact, AuditEventRow, BatchResultRow, ExecutionRow

# Made once: to make it for each execution takes longer than the database needs.
_WHOLE: Executable = select(
    *(column for column in ExecutionRow.__table__.c if column.name != "request"),
    exists().where(Artifact.execution_id == ExecutionRow.id).label("has_artifacts"),
).where(ExecutionRow.id == bindparam("id"), ExecutionRow.tenant_id == bindparam("tenant_id"))
_NONE_YET = {"succeeded": 0, "failed": 0, "timed_out": 0}  # runs of a batch


def load_execution(session: Session, execution_id: UUID, tenant_id: UUID) -> Execution:
    """Return one execution whole. Raises NotFoundError, also for another tenant's."""
    row = session.execute(_WHOLE, {"id": execution_id, "tenant_id": tenant_id}).first()
    if row is None:
        raise NotFoundError(f"no execution {execution_id}")
    return execution_view(row).model_copy(
        update={
            "stdout": stream_view(row, "stdout"),
            "stderr": stream_view(row, "stderr"),
            "result": None if row.result is None else json.loads(row.result),
            "isolation": row.isolation,
            "artifacts": artifact_infos(session, row.id) if row.has_artifacts else (),
            "batch": _batch(session, row),
        }
    )


def execution_view(row: ExecutionRow | Row[Any]) -> Execution:
    """Return an execution without what is large: streams, result, artifacts, isolation."""
    return Execution.model_validate(
        {
            "id": row.id,
            "status": row.status,
            "reason": row.reason,
            "attempt": row.attempt,
            "agent": row.agent_name,
            "agent_version": row.agent_version,
            "created_at": row.created_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "cancel_requested_at": row.cancel_requested_at,
            "labels": row.labels,
            "priority": row.priority,
            "security_profile": row.security_profile,
            "image": row.image,
            "network_access": row.network_access,
            "limits": row.limits,
            "max_attempts": row.max_attempts,
            "exit_code": row.exit_code,
            "signal": row.signal,
            "message": row.message,
            "warnings": row.warnings or (),
            "usage": row.usage or Usage(),
            "network": row.network,
            "batch": row.batch,
        }
    )


def queued_view(inserted: Mapping[str, Any]) -> Execution:
    """Return an execution as it was when its row was inserted."""
    return execution_view(ExecutionRow(**inserted, status=Status.QUEUED, attempt=0))


def _batch(session: Session, row: Row[Any]) -> BatchSummary | None:
    """Return the summary of a batch; of one that runs, or was lost, what has come so far."""
    if row.batch is None or "succeeded" in row.batch:
        return None if row.batch is None else BatchSummary.model_validate(row.batch)
    ended = session.execute(
        select(BatchResultRow.status, func.count())
        .where(BatchResultRow.execution_id == row.id, BatchResultRow.attempt == row.attempt)
        .group_by(BatchResultRow.status)
    )
    counts = _NONE_YET | {status: count for status, count in ended.all()}  # noqa: C416
    return BatchSummary.model_validate({**row.batch, **counts})


def stream_view(row: BatchResultRow | Row[Any], name: str) -> Stream | None:
    """Return the stream of this name, if the row has one."""
    kept: bytes | None = getattr(row, name)
    if kept is None:
        return None
    text = kept.decode(errors="replace")
    is_text = text.encode() == kept
    return Stream(
        text=text,
        base64=None if is_text else base64.b64encode(kept).decode(),
        total_bytes=getattr(row, f"{name}_bytes") or 0,
        truncated=name in (row.output_truncated or ()),
    )


def artifact_infos(session: Session, execution_id: UUID) -> tuple[ArtifactInfo, ...]:
    """Return what is known of an execution's artifacts, by path."""
    rows = session.scalars(
        select(Artifact).where(Artifact.execution_id == execution_id).order_by(Artifact.path)
    )
    return tuple(ArtifactInfo(path=row.path, size=row.size, sha256=row.sha256) for row in rows)


def event_view(row: AuditEventRow) -> AuditEvent:
    """Return an audit event with its hashes in hexadecimal."""
    return AuditEvent(
        execution_id=row.execution_id,
        sequence=row.sequence,
        kind=row.kind,
        recorded_at_us=row.recorded_at_us,
        data=json.loads(row.data),
        hash=row.hash.hex(),
        previous_hash=row.previous_hash.hex(),
    )
