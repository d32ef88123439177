"""Makes the one connection to the outside that a request was allowed."""

import asyncio
import errno
import functools
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

from models.hosts import Address, canonical_host
from worker.sandbox.egress import reasons
from worker.sandbox.egress.attempt import Attempt
from worker.sandbox.egress.errors import FailedError, RefusedError
from worker.sandbox.egress.limits import Limits, Usage
from worker.sandbox.egress.policy import DeniedError, Policy
from worker.sandbox.egress.resolver import Resolver
from worker.sandbox.egress.stream import READ_SIZE, Stream
from worker.sandbox.egress.turns import Turns

Host = str | Address


class Upstream(Stream):
    """A connection to the outside, whose bytes are counted."""

    def __init__(self, sock: socket.socket, attempt: Attempt, turns: Turns) -> None:
        super().__init__(sock, functools.partial(FailedError, reasons.UPSTREAM_FAILED), turns)
        self._attempt = attempt

    async def receive(self, most: int = READ_SIZE) -> bytes:
        """Return the next bytes. Raises FailedError over the byte limit."""
        data = await super().receive(most)
        self._attempt.received(len(data))
        return data

    async def send(self, data: bytes) -> None:
        """Write all of `data`. Raises FailedError over the byte limit."""
        self._attempt.sends(len(data))
        await super().send(data)


class Outside:
    """What one gate may reach, and how."""

    def __init__(
        self, policy: Policy, limits: Limits, usage: Usage, resolver: Resolver, turns: Turns
    ) -> None:
        self._policy, self._limits, self._usage, self._turns = policy, limits, usage, turns
        self._resolver = resolver
        self._lookups = resolver.share(limits.max_lookups)

    def close(self) -> None:
        """Give back what the gate had of the resolver."""
        self._lookups.close()

    @asynccontextmanager
    async def connection(self, attempt: Attempt, host: Host, port: int) -> AsyncIterator[Upstream]:
        """Judge, count, look up once, judge each address, and dial.

        Raises RefusedError or FailedError.
        """
        self._judge(host, port)
        with self._usage.connection():
            # Before the lookup, which tells a name server something, too.
            self._usage.take_request()
            addresses = await self._addresses(host, port)
            attempt.address, sock = await self._dial(addresses, port)
            upstream = Upstream(sock, attempt, self._turns)
            try:
                yield upstream
            finally:
                upstream.close()

    def _judge(self, host: Host, port: int) -> None:
        try:
            self._policy.check_host(host, port)
        except DeniedError as error:
            raise RefusedError(error.reason) from error

    async def _addresses(self, host: Host, port: int) -> Sequence[Address]:
        found: Sequence[Address]
        if isinstance(host, str):
            limits = self._limits
            found = await self._resolver.resolve(host, self._lookups, limits.resolve_seconds)
            if not found:
                raise FailedError(reasons.UNRESOLVABLE)
        else:
            found = [host]
        try:
            return self._policy.dialable(host, found, port)
        except DeniedError as error:
            raise RefusedError(error.reason) from error

    async def _dial(self, addresses: Sequence[Address], port: int) -> tuple[str, socket.socket]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.connect_seconds
        failure = FailedError(reasons.CONNECT_FAILED)
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                # A silent address leaves time for those after it.
                async with asyncio.timeout((end - loop.time()) / left):
                    return str(address), await _connect(address, port)
            except TimeoutError:
                failure = FailedError(reasons.CONNECT_TIMEOUT)
            except ConnectionRefusedError:
                failure = FailedError(reasons.CONNECT_REFUSED)
            except OSError as error:
                failure = FailedError(reasons.CONNECT_FAILED)
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS):
                    break
        raise failure


async def _connect(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # An address and no name: nothing is looked up a second time.
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock


def parse_host(text: str) -> Host:
    """Return the canonical host. Raises RefusedError."""
    try:
        return canonical_host(text)
    except ValueError as error:
        raise RefusedError(reasons.BAD_HOST) from error
