"""What an execution left behind: audit events and artifacts."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from api.auth import Authenticated
from api.errors import responses
from models.audit import broken_at
from models.errors import NotFoundError
from models.execution import ArtifactInfo, AuditEvent
from models.session import autocommit
from models.tables import Artifact, AuditEventRow, ExecutionRow
from models.views import artifact_infos, event_view
from worker.submit import Caller

router = APIRouter(
    prefix="/v1/executions/{execution_id}",
    tags=["records"],
    responses=responses(401, 403, 404, 422, 503),
)


class AuditTrail(BaseModel):
    """All events of one execution, and whether their hash chain holds."""

    items: tuple[AuditEvent, ...]
    intact: bool = Field(description="Tamper-evident: a changed or missing event breaks the chain")
    broken_at: int | None = Field(None, description="Sequence number of the first broken event")


class ArtifactList(BaseModel):
    """The artifacts of one execution."""

    items: tuple[ArtifactInfo, ...]


@router.get("/events")
def events(execution_id: UUID, caller: Authenticated) -> AuditTrail:
    """Return the audit trail, checked."""
    with autocommit() as session:
        _require(session, execution_id, caller)
        rows = session.scalars(
            select(AuditEventRow)
            .where(AuditEventRow.execution_id == execution_id)
            .order_by(AuditEventRow.sequence)
        ).all()
    broken = broken_at(rows)
    return AuditTrail(
        items=tuple(event_view(row) for row in rows), intact=broken is None, broken_at=broken
    )


@router.get("/artifacts")
def artifacts(execution_id: UUID, caller: Authenticated) -> ArtifactList:
    """List the files that the program left in its output folder."""
    with autocommit() as session:
        _require(session, execution_id, caller)
        return ArtifactList(items=artifact_infos(session, execution_id))


@router.get(
    "/artifacts/{path:path}",
    response_class=Response,
    responses={
        200: {
            "description": "The file's bytes",
            "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        }
    },
)
def artifact(
    execution_id: UUID, path: Annotated[str, Path(max_length=255)], caller: Authenticated
) -> Response:
    """Return one artifact's bytes; never rendered by a browser."""
    row = None
    with autocommit() as session:
        _require(session, execution_id, caller)
        if "\x00" not in path:
            row = session.get(Artifact, (execution_id, path), options=[undefer(Artifact.content)])
    if row is None:
        raise NotFoundError("no artifact of that path")
    return Response(
        row.content,
        media_type="application/octet-stream",
        headers={
            "ETag": f'"{row.sha256}"',
            "Content-Disposition": "attachment",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _require(session: Session, execution_id: UUID, caller: Caller) -> None:
    found = session.scalar(
        select(ExecutionRow.id).where(
            ExecutionRow.id == execution_id, ExecutionRow.tenant_id == caller.tenant_id
        )
    )
    if found is None:
        raise NotFoundError(f"no execution {execution_id}")
