"""Submit, follow, list and cancel executions."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Body, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import bindparam, select

from api.auth import Authenticated
from api.errors import responses
from api.pages import Wanted, decode_cursor, encode_cursor, newest
from models.errors import NotFoundError, RequestRefusedError, StoreUnavailableError
from models.execution import Execution, ExecutionPage, ExecutionRequest
from models.permissions import Permission
from models.security import ProfileName
from models.session import autocommit
from models.settings import load_settings
from models.status import Status
from models.tables import ExecutionRow
from models.types import Name
from models.views import execution_view, load_execution, queued_view
from worker import submit as submitting
from worker.submit import Caller

router = APIRouter(
    prefix="/v1/executions",
    tags=["executions"],
    responses=responses(401, 403, 503),
)

_STATUS = select(ExecutionRow.status).where(
    ExecutionRow.id == bindparam("id"), ExecutionRow.tenant_id == bindparam("tenant_id")
)
MAX_PAGE = 200  # executions of one page
EXAMPLES: dict[str, Any] = {
    "source": {
        "summary": "Python source with an input file",
        "value": {
            "source": "print(open('numbers.txt').read().split())",
            "files": [{"path": "numbers.txt", "content": "3 1 2"}],
            "execution_limits": {"max_execution_time_seconds": 10},
        },
    },
    "command": {
        "summary": "A command without a shell",
        "value": {"command": ["python3", "-c", "print(6 * 7)"], "labels": {"team": "search"}},
    },
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="The same key and body answer the same execution; another body is a 409",
    ),
]


Wait = Annotated[float, Query(ge=0, description="Seconds to wait for the end")]


@router.post("", status_code=202, responses=responses(400, 409, 413, 415, 422, 429))
async def submit(
    body: Annotated[ExecutionRequest, Body(openapi_examples=EXAMPLES)],
    caller: Authenticated,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = 0,
) -> Execution:
    """Accept an execution; it is queued and its outcome recorded, whatever happens.

    With `wait`, answer as soon as it has ended or the seconds are over.
    """
    _check_wait(wait)
    new_id = uuid4()
    with request.app.state.waiters.register(new_id) if wait else nullcontext() as ended:
        submitted = await run_in_threadpool(
            submitting.submit, body, caller, idempotency_key=idempotency_key, new_id=new_id
        )
        response.headers["Location"] = f"/v1/executions/{submitted.id}"
        if submitted.is_new:
            await _happens(ended, wait)
            try:
                return await run_in_threadpool(_receipt, new_id, caller)
            except StoreUnavailableError:
                # It was accepted, whatever has become of the database since.
                return queued_view(submitted.row)
    response.headers["Idempotency-Replayed"] = "true"
    return await _ended(request, submitted.id, caller, wait, _receipt)


@router.get("/{execution_id}", responses=responses(404, 422))
async def get(
    execution_id: UUID,
    caller: Authenticated,
    request: Request,
    wait: Wait = 0,
) -> Execution:
    """Return one execution; with `wait`, as soon as it has ended or the seconds are over."""
    _check_wait(wait)
    return await _ended(request, execution_id, caller, wait, _load)


@router.get("", responses=responses(422))
def list_executions(
    caller: Authenticated,
    status: Annotated[Status | None, Query()] = None,
    agent: Annotated[Name | None, Query()] = None,
    security_profile: Annotated[ProfileName | None, Query()] = None,
    created_after: Annotated[datetime | None, Query()] = None,
    created_before: Annotated[datetime | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> ExecutionPage:
    """List executions, newest first, without what is large (streams, result, isolation)."""
    wanted = Wanted(
        tenant_id=caller.tenant_id,
        status=status,
        agent=agent,
        security_profile=security_profile,
        created_after=_aware("created_after", created_after),
        created_before=_aware("created_before", created_before),
        after=None if cursor is None else decode_cursor(cursor),
    )
    with autocommit() as session:
        rows = newest(session, wanted, limit + 1)
    items = tuple(execution_view(row) for row in rows[:limit])
    more = len(rows) > limit
    return ExecutionPage(
        items=items,
        next_cursor=encode_cursor(items[-1].created_at, items[-1].id) if more else None,
    )


@router.post(
    "/{execution_id}/cancel", status_code=202, responses=responses(404, 409, 413, 415, 422)
)
def cancel(execution_id: UUID, caller: Authenticated) -> Execution:
    """Ask for an execution to end; 409 when it has already ended."""
    submitting.cancel(execution_id, caller)
    return _receipt(execution_id, caller)


def _check_wait(wait: float) -> None:
    longest = load_settings().max_wait_seconds
    if not wait <= longest:
        raise RequestRefusedError("wait", f"must be at most {longest:g} seconds")


async def _ended(
    request: Request,
    execution_id: UUID,
    caller: Caller,
    wait: float,
    load: Callable[[UUID, Caller], Execution],
) -> Execution:
    """Return the execution as soon as it has ended, or when the seconds are over."""
    if not wait:
        return await run_in_threadpool(load, execution_id, caller)
    with request.app.state.waiters.register(execution_id) as ended:
        if not await run_in_threadpool(_has_ended, execution_id, caller):
            await _happens(ended, wait)
    return await run_in_threadpool(load, execution_id, caller)


async def _happens(event: asyncio.Event | None, seconds: float) -> None:
    """Return when it happens, or when the seconds are over."""
    if event is not None:
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)


def _has_ended(execution_id: UUID, caller: Caller) -> bool:
    with autocommit() as session:
        status = session.scalar(_STATUS, {"id": execution_id, "tenant_id": caller.tenant_id})
    if status is None:
        raise NotFoundError(f"no execution {execution_id}")
    return Status(status).is_terminal


def _load(execution_id: UUID, caller: Caller) -> Execution:
    with autocommit() as session:
        return load_execution(session, execution_id, caller.tenant_id)


def _receipt(execution_id: UUID, caller: Caller) -> Execution:
    """Return the execution; to a key that may not read, without what its program has said.

    A repeated submit answers an execution that may have ended.
    """
    execution = _load(execution_id, caller)
    if Permission.READ in caller.permissions.verbs:
        return execution
    fields = ("message", "stdout", "stderr", "result", "artifacts", "warnings", "isolation")
    unsaid = {name: Execution.model_fields[name].default for name in fields}
    return execution.model_copy(update=unsaid)


def _aware(name: str, moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise RequestRefusedError(name, "needs a time zone, as in 2026-01-31T12:00:00Z")
    return moment
