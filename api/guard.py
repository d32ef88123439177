"""What is checked before a request's body is parsed: who sends it, whether they may, its size.

Parsing and validating cost far more than receiving: a body of a few megabytes of `[],[],...`
would hold the process for seconds. So strangers, and keys that may not do this, are refused before
their body is read, and the structure of bodies is measured by one regular expression, in a thread.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import authenticate, authorize
from api.errors import answer_for, problem
from models import telemetry
from models.errors import PermissionDeniedError, StoreUnavailableError

MAX_TOKENS = 50_000  # strings and structural characters in one body; we need some hundreds
MAX_DEPTH = 32  # nested arrays and objects; the contracts themselves stop at 16 in free JSON
SMALL = 512  # bytes of a body that is measured at once, in at most about 0.4 ms
BODY_TIMEOUT = 60  # seconds for a body to arrive
PROTECTED = "/v1/"

# A string (possibly unfinished; its escapes are gone by then), or a structural character.
_TOKEN = re.compile(rb'"[^"]*"?|[\[{\]},]')


def measure(body: bytes) -> str | None:
    """Return why the structure of a JSON body is refused, or None.

    Its time is bounded by the number of values: what is no JSON at all is left to the parser.
    """
    if not _is_utf8(body):
        return "the body must be JSON in UTF-8"
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")
    depth = 0
    for count, match in enumerate(_TOKEN.finditer(plain)):
        first = match[0][:1]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
        if depth > MAX_DEPTH:
            return f"the body nests deeper than {MAX_DEPTH}"
        if count > MAX_TOKENS:
            return f"the body has more than {MAX_TOKENS} names, values and separators"
    return None


def _is_utf8(body: bytes) -> bool:
    """Whether Python's parser will read the bytes as they are measured, and not as UTF-16."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


async def _measured(body: bytes) -> str | None:
    # What takes less time than handing it to a thread is done here.
    return measure(body) if len(body) <= SMALL else await run_in_threadpool(measure, body)


class _RefusedError(Exception):
    """Carries the answer to a request that goes no further."""

    def __init__(self, answer: JSONResponse) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class Guard:
    """Refuses callers before their body is read, and bodies before they are parsed."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        protected = scope["type"] == "http" and scope["path"].startswith(PROTECTED)
        # No route answers OPTIONS, and nobody reads its body.
        if not protected or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            await self._admit(request)
            body = await self._body(request, receive)
        except _RefusedError as refused:
            await refused.answer(scope, receive, send)
            return
        with _traced(scope, send) as noting:
            await self._app(scope, _replay(body, receive), noting)

    async def _admit(self, request: Request) -> None:
        header = request.headers.get("authorization")
        try:
            caller = await run_in_threadpool(authenticate, header)
            if caller is None:
                raise _RefusedError(answer_for(request, None))
            authorize(request, caller)
        except (PermissionDeniedError, StoreUnavailableError) as error:
            raise _RefusedError(answer_for(request, error)) from error

    async def _body(self, request: Request, receive: Receive) -> bytes:
        try:
            body = await self._read(request.scope, receive)
        except TimeoutError as error:
            detail = f"the body did not arrive within {BODY_TIMEOUT} s"
            raise _RefusedError(problem(request, 408, detail)) from error
        if body is None:
            detail = f"the body is larger than {self._max_body_bytes} bytes"
            raise _RefusedError(problem(request, 413, detail))
        if body and not _is_json(request):
            detail = "send the body as Content-Type: application/json"
            raise _RefusedError(problem(request, 415, detail))
        refusal = await _measured(body) if body else None
        if refusal is not None:
            raise _RefusedError(problem(request, 422, refusal))
        return body

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body; None when it is too large, known or not before it came."""
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._max_body_bytes:
            return None
        body = bytearray()
        give_up = asyncio.get_running_loop().time() + BODY_TIMEOUT
        while True:
            async with asyncio.timeout_at(give_up):
                message = await receive()
            if message["type"] == "http.disconnect":
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


@contextmanager
def _traced(scope: Scope, send: Send) -> Iterator[Send]:
    """Run the block in the request's span; it sends by what is yielded.

    A stranger's request begins none, or he would fill the trace store.
    """
    status = 500  # of a failure, which is answered outside of here

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    state, parent = scope["state"], Headers(scope=scope).get("traceparent")
    named = {"request": state["request_id"]}
    with telemetry.span(scope["method"], parent=parent, kind=SpanKind.SERVER, **named) as span:
        context = span.get_span_context()
        if context.is_valid:  # for the line about the request, which comes after its span
            state["trace_id"] = f"{context.trace_id:032x}"
        try:
            yield noting
        finally:
            _describe(span, scope, status)


def _describe(span: Span, scope: Scope, status: int) -> None:
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.request.method", scope["method"])
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [True]

    async def again() -> Message:
        if waiting:
            waiting.clear()
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again
