"""The HTTP side of the proxy: one request after the other, each judged anew."""

import asyncio

from worker.sandbox.egress import answers, http_body, http_head, reasons, target
from worker.sandbox.egress.attempt import Attempt, IdleClock
from worker.sandbox.egress.decisions import shown
from worker.sandbox.egress.errors import BadRequestError, FailedError, RefusedError
from worker.sandbox.egress.http_forward import Exchange
from worker.sandbox.egress.session import Session
from worker.sandbox.egress.tunnel import Tunnel

# How long a connection is kept for a next request; its place is missed when there are many.
KEPT_SECONDS = 15.0


async def serve(session: Session) -> None:
    """Serve one connection whose first byte may begin an HTTP request."""
    while await _one(session) and await _wait(session):
        # One connection with many requests is held to the same rate as many connections.
        await session.gate.bucket.take()


async def _wait(session: Session) -> bool:
    """Wait for the next request's first byte; false when none comes."""
    seconds = min(KEPT_SECONDS, session.gate.limits.idle_seconds)
    try:
        async with asyncio.timeout(seconds):
            return bool(session.client.buffer) or await session.client.fill()
    except TimeoutError:
        return False


async def _one(session: Session) -> bool:
    """Serve one request; whether another may follow on this connection."""
    attempt = session.attempt("http")
    request: http_head.Request | None = None
    try:
        with attempt:
            request = await _read(session)
            if request.method == "CONNECT":
                attempt.protocol = "connect"
                await _tunnel(session, attempt, request)
                return False
            if await _forward(session, attempt, request):
                return True
        await session.last_words(b"")
    except (RefusedError, FailedError, BadRequestError) as error:
        await _explain(session, attempt, request, error)
    return False


async def _read(session: Session) -> http_head.Request:
    limits = session.gate.limits
    try:
        async with asyncio.timeout(limits.header_seconds):
            head = await http_body.read_head(session.client, limits.max_header_bytes)
    except TimeoutError as error:
        raise RefusedError(reasons.HEADER_TIMEOUT) from error
    return http_head.parse_request(head)


async def _tunnel(session: Session, attempt: Attempt, request: http_head.Request) -> None:
    gate, to = session.gate, target.of_tunnel(request)
    attempt.asks(to.text, to.port)
    if http_head.body_length(request.fields, request.minor) != 0:
        raise BadRequestError("CONNECT has no body")
    async with gate.outside.connection(attempt, to.host, to.port) as upstream:
        attempt.answered = True
        await session.client.send(answers.ESTABLISHED)
        tunnel = Tunnel(session.client, to.host, to.port, gate.limits, gate.hangups)
        await tunnel.run(upstream, attempt)


async def _forward(session: Session, attempt: Attempt, request: http_head.Request) -> bool:
    gate, to = session.gate, target.of_request(request)
    attempt.asks(to.text, to.port)
    length = http_head.body_length(request.fields, request.minor)
    async with gate.outside.connection(attempt, to.host, to.port) as upstream:
        exchange = Exchange(session.client, upstream, attempt, request)
        try:
            async with asyncio.timeout(None) as scope:
                attempt.clock = IdleClock(scope, gate.limits.idle_seconds)
                return await exchange.run(to, length)
        except TimeoutError as error:
            raise FailedError(reasons.IDLE_TIMEOUT) from error


async def _explain(
    session: Session,
    attempt: Attempt,
    request: http_head.Request | None,
    error: RefusedError | FailedError | BadRequestError,
) -> None:
    """Tell the client why; where an answer has begun, all that is left is to break it off."""
    if attempt.answered:
        if isinstance(error, RefusedError):
            await session.refuse_tunnel(error.reason)
        return
    with_body = request is None or request.method != "HEAD"
    host, port = shown(attempt.host), attempt.port
    match error:
        case RefusedError():
            data = answers.refused(error.reason, host=host, port=port, with_body=with_body)
        case FailedError():
            data = answers.failed(error.reason, host=host, port=port, with_body=with_body)
        case BadRequestError():
            data = answers.malformed(str(error))
    await session.last_words(data)
