"""SOCKS5 (RFC 1928): without authentication, CONNECT alone, names looked up here."""

import asyncio
from ipaddress import IPv4Address, IPv6Address

from worker.sandbox.egress import reasons
from worker.sandbox.egress.attempt import Attempt
from worker.sandbox.egress.errors import BadRequestError, FailedError, RefusedError
from worker.sandbox.egress.session import Session
from worker.sandbox.egress.stream import Stream
from worker.sandbox.egress.tunnel import Tunnel
from worker.sandbox.egress.upstream import parse_host

VERSION = 5
NO_AUTHENTICATION, NO_METHOD = 0, 255
CONNECT = 1
IPV4, NAME, IPV6 = 1, 3, 4  # types of an address


async def serve(session: Session) -> None:
    """Serve one connection whose first byte is that of SOCKS5."""
    # The decision is taken down before the answer: who hears it may leave at once.
    attempt = session.attempt("socks5")
    try:
        with attempt:
            await _serve(session, attempt)
    except RefusedError as error:
        if attempt.answered:
            await session.refuse_tunnel(error.reason)
        else:
            await session.last_words(_reply(reasons.socks_code(error.reason, denied=True)))
    except FailedError as error:
        if not attempt.answered:
            await session.last_words(_reply(reasons.socks_code(error.reason, denied=False)))
    except BadRequestError:
        await session.last_words(_reply(reasons.SOCKS_GENERAL))


async def _serve(session: Session, attempt: Attempt) -> None:
    gate = session.gate
    try:
        async with asyncio.timeout(gate.limits.header_seconds):
            await _greet(session.client)
            command, host_text, port = await _request(session.client)
    except TimeoutError as error:
        raise RefusedError(reasons.HEADER_TIMEOUT) from error
    attempt.asks(host_text, port)
    if command != CONNECT:
        raise RefusedError(reasons.BAD_COMMAND)
    host = parse_host(host_text)
    async with gate.outside.connection(attempt, host, port) as upstream:
        await session.client.send(_reply(reasons.SOCKS_OK))
        attempt.answered = True
        tunnel = Tunnel(session.client, host, port, gate.limits, gate.hangups)
        await tunnel.run(upstream, attempt)


async def _greet(client: Stream) -> None:
    _version, count = await client.read_exactly(2)
    methods = await client.read_exactly(count)
    if NO_AUTHENTICATION not in methods:
        await client.send(bytes((VERSION, NO_METHOD)))
        raise BadRequestError("no method that we know")
    await client.send(bytes((VERSION, NO_AUTHENTICATION)))


async def _request(client: Stream) -> tuple[int, str, int]:
    """Return command, host and port."""
    version, command, reserved, kind = await client.read_exactly(4)
    if version != VERSION or reserved:
        raise BadRequestError("no SOCKS5 request")
    if kind == IPV4:
        host = str(IPv4Address(await client.read_exactly(4)))
    elif kind == IPV6:
        host = str(IPv6Address(await client.read_exactly(16)))
    elif kind == NAME:
        (length,) = await client.read_exactly(1)
        host = (await client.read_exactly(length)).decode("ascii", "replace")
    else:
        raise BadRequestError("no such type of address")
    return command, host, int.from_bytes(await client.read_exactly(2), "big")


def _reply(code: int) -> bytes:
    # The address that we are bound to is nobody's business: all zeros.
    return bytes((VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0))
