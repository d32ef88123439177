"""Passes bytes on in both directions, once a TLS client has named the right server."""

import asyncio
from ipaddress import IPv4Address, IPv6Address

from worker.sandbox.egress import client_hello, reasons
from worker.sandbox.egress.attempt import Attempt, IdleClock
from worker.sandbox.egress.errors import ClientGoneError, FailedError, RefusedError
from worker.sandbox.egress.hangup import HangupWatch
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.stream import Stream, end
from worker.sandbox.egress.upstream import Host, Upstream, parse_host

HTTPS = 443
LAST_WORDS_SECONDS = 5  # to take over what a client sent before it left


class Tunnel:
    """One CONNECT or SOCKS connection after it was granted."""

    def __init__(
        self, client: Stream, host: Host, port: int, limits: Limits, hangups: HangupWatch
    ) -> None:
        self._client, self._host, self._port = client, host, port
        self._limits, self._hangups = limits, hangups

    async def run(self, upstream: Upstream, attempt: Attempt) -> None:
        """Pass bytes on until both sides have ended.

        Raises RefusedError, FailedError or ClientGoneError.
        """
        # On 443 not even the connection's end is passed on before the client has named its server.
        if self._port == HTTPS:
            await self._inspect()
        try:
            async with asyncio.timeout(None) as scope:
                attempt.clock = IdleClock(scope, self._limits.idle_seconds)
                await self._both(upstream, attempt.clock)
        except TimeoutError as error:
            raise FailedError(reasons.IDLE_TIMEOUT) from error

    async def _both(self, upstream: Upstream, clock: IdleClock) -> None:
        up = asyncio.create_task(self._up(upstream, clock))
        down = asyncio.create_task(_pump(upstream, self._client, clock, self._limits))

        def client_left() -> None:
            # What it sent before it left is still to be passed on, as a kernel would do.
            down.cancel()
            clock.limit(LAST_WORDS_SECONDS)

        self._hangups.watch(self._client.sock, client_left)
        try:
            done, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._hangups.forget(self._client.sock)
            await end(up, down)
        for task in done:
            if not task.cancelled():
                task.result()

    async def _up(self, upstream: Upstream, clock: IdleClock) -> None:
        # Elsewhere the server may speak first. Whoever speaks TLS must name the server, too.
        if not self._client.buffer:
            await self._client.fill()
        if self._client.buffer[:1] == bytes((client_hello.HANDSHAKE,)):
            await self._inspect()
        await _pump(self._client, upstream, clock, self._limits)

    async def _inspect(self) -> None:
        """Read the ClientHello, without taking it, and judge its name. Raises RefusedError."""
        try:
            async with asyncio.timeout(self._limits.header_seconds):
                while (name := client_hello.server_name(bytes(self._client.buffer))) is None:
                    if not await self._client.fill():
                        # Who ends before a word has only changed its mind.
                        empty = not self._client.buffer
                        raise ClientGoneError if empty else RefusedError(reasons.NOT_TLS)
        except TimeoutError as error:
            raise RefusedError(reasons.HEADER_TIMEOUT) from error
        _judge_name(name, self._host)


def _judge_name(name: str, host: Host) -> None:
    """Refuse every server name but that of the host.

    An address has no name, and TLS knows none for it (RFC 6066, section 3): a name that comes
    with an address asks a shared server for somebody whom no rule has allowed.
    """
    if isinstance(host, IPv4Address | IPv6Address):
        if name:
            raise RefusedError(reasons.OTHER_SERVER_NAME)
    elif not name:
        raise RefusedError(reasons.NO_SERVER_NAME)
    elif _canonical(name) != host:
        raise RefusedError(reasons.OTHER_SERVER_NAME)


def _canonical(name: str) -> Host:
    try:
        return parse_host(name)
    except RefusedError as error:
        raise RefusedError(reasons.OTHER_SERVER_NAME) from error


async def _pump(source: Stream, target: Stream, clock: IdleClock, limits: Limits) -> None:
    while data := await source.read():
        await target.send(data)
    target.end()
    clock.limit(limits.half_closed_seconds)
