"""The one way in: every execution, by REST or by Celery, starts here."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import audit, telemetry
from models.customise import loosened
from models.errors import AgentCoreError, ConflictError, NotFoundError, RequestRefusedError
from models.execution import ExecutionRequest
from models.permissions import EVERYTHING, Permissions, require_use
from models.resolve import Effective, ResolvedRequest, merge_agent, resolve, stored_agent
from models.session import autocommit, transaction
from models.settings import load_settings
from models.status import Reason, Status
from models.tables import Agent, AuditEventRow, ExecutionRow
from worker import doorbell, shares


class AlreadyEndedError(AgentCoreError):
    """The execution ended before the cancel arrived."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"the execution has already ended: {status}")
        self.status = status


class TooManyQueuedError(AgentCoreError):
    """The tenant has as many executions in the queue as it may."""

    def __init__(self, queued: int, limit: int) -> None:
        super().__init__(
            f"too many executions are queued: {queued} of at most {limit}; "
            "try again when some of them have started"
        )


@dataclass(frozen=True, kw_only=True)
class Caller:
    """On whose behalf something is done."""

    tenant_id: UUID
    permissions: Permissions
    api_key_id: str | None = None  # none at the Celery door
    request_id: str | None = None  # of the HTTP request by which this is asked


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """An accepted execution; `is_new` is false when an earlier request is answered again."""

    id: UUID
    is_new: bool
    row: Mapping[str, Any] = field(default_factory=dict)  # as it was inserted, if it is new


def submit(
    request: ExecutionRequest,
    caller: Caller,
    *,
    idempotency_key: str | None = None,
    execution_id: UUID | None = None,
    new_id: UUID | None = None,
    reply: bool = False,
) -> Submitted:
    """Accept an execution: row, first audit event and outbox mark in one transaction.

    `execution_id` makes a repeated call with the same id answer the first one; a random `new_id`
    is that of the execution if it is a new one; `reply` asks for the result to be stored as the
    Celery result of that id. Workers hear of it at once when the tenant's share has room, else
    when its turn comes. Raises RequestRefusedError, PermissionDeniedError, ConflictError,
    TooManyQueuedError or StoreUnavailableError.
    """
    settings = load_settings()
    request_hash = _hash(request)
    with autocommit() as session:
        was_used = execution_id is not None and _has_trail(session, execution_id)
        # First: what was accepted is answered again, whatever has changed since.
        earlier = _earlier(session, request_hash, caller, idempotency_key, execution_id)
        if earlier is not None:
            return earlier
        if was_used:  # by another tenant, or by what retention has deleted: trails never mix
            raise ConflictError("this id was used before")
        agent = _find_agent(session, request, caller)
        merged = merge_agent(request, stored_agent(agent.config) if agent else None)
        effective = resolve(merged, settings)
        _require_use(effective, caller)
        row = _row(request, merged, effective, caller, agent)
        row |= {
            "id": execution_id or new_id or uuid4(),
            "request_hash": request_hash,
            "idempotency_key": idempotency_key,
            "reply_pending": reply,
        }
        placed = shares.place(session, row)
        if not placed.is_new:
            # Somebody was faster: it may have been this very request.
            earlier = _earlier(session, request_hash, caller, idempotency_key, execution_id)
            if earlier is not None:
                return earlier
            if placed.queued >= settings.tenant_max_queued:
                raise TooManyQueuedError(placed.queued, settings.tenant_max_queued)
            raise ConflictError("this id belongs to another execution")
    if placed.is_released:
        doorbell.ring(row["id"], request.priority)
    row["created_at"] = placed.created_at
    return Submitted(id=row["id"], is_new=True, row=row)


def _has_trail(session: Session, execution_id: UUID) -> bool:
    return session.get(AuditEventRow, (execution_id, 1)) is not None


def _hash(request: ExecutionRequest) -> bytes:
    asked = request.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def _find_agent(session: Session, request: ExecutionRequest, caller: Caller) -> Agent | None:
    if request.agent is None:
        return None
    query = (
        select(Agent)
        .where(
            Agent.tenant_id == caller.tenant_id,
            Agent.name == request.agent,
            Agent.deleted_at.is_(None),
        )
        .order_by(Agent.version.desc())
        .limit(1)
    )
    if request.agent_version is not None:
        query = query.where(Agent.version == request.agent_version)
    agent = session.scalar(query)
    if agent is None:
        raise RequestRefusedError("agent", "no such agent, or not this version of it")
    return agent


def _require_use(effective: Effective, caller: Caller) -> None:
    require_use(
        caller.permissions,
        profile=effective.profile.profile_name,
        image=effective.image,
        network=effective.network_access,
        loosened=loosened(effective.profile),
    )


def _row(
    request: ExecutionRequest,
    merged: ResolvedRequest,
    effective: Effective,
    caller: Caller,
    agent: Agent | None,
) -> dict[str, Any]:
    # The profile is settled here: a worker's own default must not change it.
    settled = {"security_profile": effective.profile.profile_name}
    return {
        "tenant_id": caller.tenant_id,
        "api_key_id": caller.api_key_id,
        "request_id": caller.request_id,
        "trace_parent": telemetry.traceparent(),
        "agent_name": agent.name if agent else None,
        "agent_version": agent.version if agent else None,
        "request": merged.model_dump(mode="json", exclude_unset=True) | settled,
        "security_profile": effective.profile.profile_name,
        "image": effective.image,
        "network_access": effective.network_access,
        "limits": effective.limits.model_dump(mode="json"),
        "labels": request.labels,
        "priority": request.priority,
        "max_attempts": merged.max_attempts,
        "batch": {"inputs": len(merged.inputs)} if merged.inputs else None,
    }


def _earlier(
    session: Session,
    request_hash: bytes,
    caller: Caller,
    idempotency_key: str | None,
    execution_id: UUID | None,
) -> Submitted | None:
    """Return the execution that took this idempotency key or id before, if any."""
    if idempotency_key is not None:
        same = ExecutionRow.idempotency_key == idempotency_key
    elif execution_id is not None:
        same = ExecutionRow.id == execution_id
    else:
        return None
    found = session.execute(
        select(ExecutionRow.id, ExecutionRow.request_hash).where(
            ExecutionRow.tenant_id == caller.tenant_id, same
        )
    ).first()
    if found is None:
        return None
    if found.request_hash != request_hash:
        what = "id" if idempotency_key is None else "Idempotency-Key"
        raise ConflictError(f"this {what} was used before for a different request")
    return Submitted(id=found.id, is_new=False)


def cancel_any(execution_id: UUID) -> None:
    """Cancel whoever's execution this is: for those who write to the broker.

    Raises what `cancel` raises.
    """
    with autocommit() as session:
        owner = select(ExecutionRow.tenant_id).where(ExecutionRow.id == execution_id)
        tenant_id = session.scalar(owner)
    if tenant_id is None:
        raise NotFoundError(f"no execution {execution_id}")
    cancel(execution_id, Caller(tenant_id=tenant_id, permissions=EVERYTHING))


def cancel(execution_id: UUID, caller: Caller) -> None:
    """Ask for an execution to end: at once when queued, else by its worker.

    Raises NotFoundError, or AlreadyEndedError when it lost the race to completion.
    """
    with transaction() as session:
        row = session.scalar(
            select(ExecutionRow)
            .where(ExecutionRow.id == execution_id, ExecutionRow.tenant_id == caller.tenant_id)
            .with_for_update()
        )
        if row is None:
            raise NotFoundError(f"no execution {execution_id}")
        status = Status(row.status)
        if status.is_terminal:
            raise AlreadyEndedError(status)
        if row.cancel_requested_at is None:
            audit.append(session, row.id, audit.CANCEL_REQUESTED, {"api_key": caller.api_key_id})
            row.cancel_requested_at = func.now()
        if status is Status.QUEUED:
            row.status, row.reason = Status.CANCELLED, Reason.CANCEL_REQUESTED
            row.message = "cancelled before it started"
    if status is Status.RUNNING:
        doorbell.ring_cancel(execution_id)
    elif row.released:
        shares.refill(caller.tenant_id)
