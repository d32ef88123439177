"""The database verbs of a worker: claim, start, renew, finish, hand back.

Each is one transaction on the database's clock. All but the claim are fenced: they change
nothing unless the row still carries the attempt that this worker claimed.
"""

import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.orm import Session

from models import audit
from models.sandbox import Outcome
from models.session import autocommit, transaction
from models.status import Reason, Status
from models.tables import ExecutionRow
from worker import fault_points, shares

MAX_WHY = 500  # characters of a reason that are recorded
MAX_BACKOFF = 30  # seconds between attempts to start the same execution


# Written out: to build one of these takes longer than the database needs for it. The status is a
# value where the row is found by its id: as a word it would call for a partial index, which is
# small until it is not.
_CLAIM = text("""
UPDATE executions SET status = 'running', attempt = attempt + 1, lease_owner = :worker,
    lease_expires_at = now() + make_interval(secs => :lease), send_count = 0
WHERE id = :id AND status = :queued AND released
RETURNING attempt, max_attempts, user_starts, request, request_id, trace_parent,
    extract(epoch FROM now() - created_at) AS age, cancel_requested_at IS NOT NULL AS cancelled
""")
# One statement: no event without the start, no start without its events.
_START = text("""
WITH started AS (
    UPDATE executions SET user_starts = user_starts + 1, started_at = now()
    WHERE id = :id AND attempt = :attempt AND status = :running AND cancel_requested_at IS NULL
    RETURNING id
)
SELECT append_audit_event(id, kind, data)
FROM started, unnest(CAST(:kinds AS text[]), CAST(:data AS text[])) AS events (kind, data)
""")
_RENEW = text("""
UPDATE executions SET lease_expires_at = now() + make_interval(secs => :lease)
WHERE lease_owner = :worker AND status = 'running' AND id = ANY(CAST(:ids AS uuid[]))
RETURNING id, attempt, cancel_requested_at
""")


class LeaseLostError(Exception):
    """Another worker may own the execution by now; nothing of this attempt counts."""


class CancelledError(Exception):
    """Somebody asked for the execution to end before its program started."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt that this worker owns while its lease holds."""

    execution_id: UUID
    attempt: int
    max_attempts: int
    user_starts: int
    request: dict[str, Any]  # as stored; it is checked again before it runs
    request_id: str | None = None  # of the HTTP request that submitted it
    trace_parent: str | None = None  # of the trace that it continues
    age: float = 0.0  # seconds from its submit to this claim
    cancelled: bool = False  # somebody wants it no more: the mark of an operator after a restore
    claimed_at: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """A lease that still holds."""

    execution_id: UUID
    attempt: int
    cancel_requested: bool


def claim(execution_id: UUID, worker_id: str, lease_seconds: float) -> Claim | None:
    """Take a released execution; None when there is nothing to take.

    What is held back cannot be taken, so that no tenant ever runs more than its share.
    """
    values = {
        "id": execution_id,
        "queued": Status.QUEUED,
        "worker": worker_id,
        "lease": lease_seconds,
    }
    with autocommit() as session:
        row = session.execute(_CLAIM, values).first()
    if row is None:
        return None
    fault_points.reach("after_claim")
    return Claim(
        execution_id=execution_id,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        user_starts=row.user_starts,
        request=row.request,
        request_id=row.request_id,
        trace_parent=row.trace_parent,
        age=float(row.age),
        cancelled=row.cancelled,
    )


def start_user_code(claim: Claim, isolation: dict[str, Any]) -> None:
    """Record, before it happens, that user code starts, and under what isolation.

    Raises LeaseLostError, or CancelledError when a cancel came first.
    """
    events = [(audit.USER_CODE_STARTED, {"attempt": claim.attempt, "isolation": isolation})]
    if isolation.get("missing"):
        events.insert(0, (audit.ISOLATION_WEAKER, _weaker(claim, isolation)))
    values = {
        "id": claim.execution_id,
        "attempt": claim.attempt,
        "running": Status.RUNNING,
        "kinds": [kind for kind, _ in events],
        "data": [json.dumps(facts, sort_keys=True) for _, facts in events],
    }
    with autocommit() as session:
        if session.execute(_START, values).first() is None:
            raise CancelledError if _is_ours(session, claim) else LeaseLostError


def _is_ours(session: Session, claim: Claim) -> bool:
    return session.scalar(select(ExecutionRow.id).where(*fence(claim))) is not None


def refuse_isolation(claim: Claim, isolation: dict[str, Any]) -> None:
    """Record that a sandbox was given up because a required layer is missing.

    Raises LeaseLostError.
    """
    with transaction() as session:
        if session.scalar(select(ExecutionRow.id).where(*fence(claim)).with_for_update()) is None:
            raise LeaseLostError
        facts = _weaker(claim, isolation)
        audit.append(session, claim.execution_id, audit.ISOLATION_WEAKER, facts)


def _weaker(claim: Claim, isolation: dict[str, Any]) -> dict[str, Any]:
    return {"attempt": claim.attempt, "missing": isolation["missing"]}


def renew(worker_id: str, running: Collection[UUID], lease_seconds: float) -> Sequence[Renewed]:
    """Renew the leases of what this worker runs in one statement; return those that still hold.

    A lease whose execution no thread runs any more is left to expire.
    """
    values = {"worker": worker_id, "ids": list(running), "lease": lease_seconds}
    with autocommit() as session:
        rows = session.execute(_RENEW, values).all()
    return [
        Renewed(
            execution_id=row.id,
            attempt=row.attempt,
            cancel_requested=row.cancel_requested_at is not None,
        )
        for row in rows
    ]


def decline(execution_id: UUID, seconds: float) -> None:
    """Leave a queued execution to others; its message is sent again after `seconds`."""
    with autocommit() as session:
        session.execute(
            update(ExecutionRow)
            .where(ExecutionRow.id == execution_id, ExecutionRow.status == Status.QUEUED)
            .values(next_send_at=_from_now(seconds))
        )


def hand_back(
    claim: Claim,
    kind: str,
    why: str,
    *,
    counts: bool,
    max_failed_starts: int,
    at_once: bool = False,
    so_far: Outcome | None = None,
) -> Status:
    """Queue the execution again after we failed to run it, with a wait that grows.

    `kind` is the audit event that tells of it. `at_once` goes without the wait: for a worker that
    ends while nothing is wrong. Of `so_far` only what it did on the network is kept.

    `counts` says whether the failure brings it nearer to being given up; an engine that is away
    does not. A cancel that came meanwhile ends it. Returns the new status. Raises LeaseLostError.
    """
    with transaction() as session:
        row = session.scalar(select(ExecutionRow).where(*fence(claim)).with_for_update())
        if row is None:
            raise LeaseLostError
        facts = {"attempt": claim.attempt, "why": why[:MAX_WHY]}
        if so_far is not None:
            tell_network(session, claim, so_far)
        audit.append(session, claim.execution_id, kind, facts)
        row.failed_starts += counts
        if row.cancel_requested_at is not None:
            row.status, row.reason = Status.CANCELLED, Reason.CANCEL_REQUESTED
            row.message = f"cancelled on request; {why[:MAX_WHY]}"
        elif row.failed_starts >= max_failed_starts:
            row.status, row.reason = Status.LOST, Reason.SANDBOX_UNAVAILABLE
            row.message = f"no sandbox could be started: {why[:MAX_WHY]}"
        else:
            row.status = Status.QUEUED  # and keeps its place in the tenant's share
            wait = 0 if at_once else min(MAX_BACKOFF, 2 ** min(claim.attempt, 10))
            row.next_send_at = _from_now(wait)
        status = Status(row.status)
    if status.is_terminal:
        shares.refill(row.tenant_id)
    return status


def tell_network(session: Session, claim: Claim, outcome: Outcome) -> None:
    """Record what the egress proxy allowed and refused; the caller holds the row."""
    for data in outcome.network_events:
        facts = {"attempt": claim.attempt, **data}
        audit.append(session, claim.execution_id, audit.NETWORK_DECISIONS, facts)


def is_held(execution_id: UUID, attempt: int) -> bool:
    """Whether this attempt is the one that runs and its lease has not run out."""
    with autocommit() as session:
        return bool(
            session.scalar(
                select(func.count()).where(
                    ExecutionRow.id == execution_id,
                    ExecutionRow.attempt == attempt,
                    ExecutionRow.status == Status.RUNNING,
                    ExecutionRow.lease_expires_at > func.now(),
                )
            )
        )


def fence(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which the claimed row is still this attempt's."""
    return (
        ExecutionRow.id == claim.execution_id,
        ExecutionRow.attempt == claim.attempt,
        ExecutionRow.status == Status.RUNNING,
    )


def _from_now(seconds: float) -> Any:
    return func.now() + timedelta(seconds=seconds)
