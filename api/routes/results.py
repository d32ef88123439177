"""The results of a batch: a page of them, or a stream as they come."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api.auth import Authenticated
from api.errors import RETRY_AFTER, responses
from api.result_stream import ResultStream
from api.waiters import Waiters
from models.batch import MAX_INPUTS
from models.errors import RequestRefusedError
from models.result_views import load_results
from models.results import ResultPage
from models.session import transaction
from models.settings import load_settings
from worker.submit import Caller

router = APIRouter(
    prefix="/v1/executions/{execution_id}/results",
    tags=["records"],
    responses=responses(401, 403, 404, 409, 422, 503),
)

MAX_PAGE = 1000  # results of one page
STREAM_PAGE = 200  # results that a stream reads at once
NDJSON = "application/x-ndjson"
STREAM = {
    "description": "A line of JSON for each result (as an item of a page). The last line says "
    "whether these were all (`complete`), and where to go on (`next`). Empty lines mean nothing.",
    "content": {NDJSON: {"schema": {"type": "string"}}},
}

After = Annotated[
    int, Query(ge=-1, le=MAX_INPUTS, description="Results of a higher index only; -1: all")
]


@router.get("")
async def results(
    execution_id: UUID,
    caller: Authenticated,
    request: Request,
    after: After = -1,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Fewer when they are large")] = 200,
    wait: Annotated[float, Query(ge=0, description="Seconds to wait for the next ones")] = 0,
) -> ResultPage:
    """Return results in the order of their inputs; with `wait`, as soon as there are any."""
    longest = load_settings().max_wait_seconds
    if not wait <= longest:
        raise RequestRefusedError("wait", f"must be at most {longest:g} seconds")
    read = _reader(execution_id, caller, limit)
    with request.app.state.waiters.register(execution_id, results=True) as news:
        page = await run_in_threadpool(read, after)
        if page.items or page.complete or not wait:
            return page
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), wait)
    return await run_in_threadpool(read, after)


@router.get("/stream", response_class=StreamingResponse, responses={200: STREAM})
async def stream(
    execution_id: UUID, caller: Authenticated, request: Request, after: After = -1
) -> StreamingResponse:
    """Stream the results as they come, until the execution has ended."""
    waiters: Waiters = request.app.state.waiters
    if waiters.is_full:
        detail = "too many requests wait already"
        raise HTTPException(503, detail, headers={"Retry-After": RETRY_AFTER})
    read = _reader(execution_id, caller, STREAM_PAGE)
    # What is refused is answered before the first line.
    await run_in_threadpool(read, MAX_INPUTS)
    lines = ResultStream(waiters, execution_id, read, after).lines()
    return StreamingResponse(lines, media_type=NDJSON)


def _reader(execution_id: UUID, caller: Caller, limit: int) -> Callable[[int], ResultPage]:
    def read(after: int) -> ResultPage:
        with transaction() as session:
            return load_results(session, execution_id, caller.tenant_id, after=after, limit=limit)

    return read
