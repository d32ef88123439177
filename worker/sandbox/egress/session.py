"""What all that serves one client needs, and the ways out of serving it."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from worker.sandbox.egress import reasons
from worker.sandbox.egress.attempt import Attempt
from worker.sandbox.egress.decisions import Ledger
from worker.sandbox.egress.errors import ClientGoneError
from worker.sandbox.egress.hangup import HangupWatch
from worker.sandbox.egress.limits import Bucket, Limits, Usage
from worker.sandbox.egress.stream import Stream
from worker.sandbox.egress.turns import Turns
from worker.sandbox.egress.upstream import Outside

# A client that is still sending when it is refused loses the answer if we just close (RFC 9112,
# section 9.6): what it sends is read and dropped for a while.
LINGER_SECONDS = 2
LINGER_BYTES = 1_048_576
# A TLS alert (RFC 8446, section 6): fatal, access_denied. Clients show it to their user.
ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))


@dataclass(frozen=True, kw_only=True)
class GateState:
    """What the connections of one gate share."""

    limits: Limits
    usage: Usage
    ledger: Ledger
    bucket: Bucket
    outside: Outside
    hangups: HangupWatch
    turns: Turns


class Session:
    """One client's connection."""

    def __init__(self, sock: socket.socket, gate: GateState) -> None:
        self.client = Stream(sock, ClientGoneError, gate.turns)
        self.gate = gate

    def attempt(self, protocol: str) -> Attempt:
        """Begin to judge one request."""
        return Attempt(self.gate.ledger, self.gate.usage, protocol)

    async def last_words(self, data: bytes) -> None:
        """Send an answer after which the connection ends; whether anybody hears it or not."""
        seen = len(self.client.buffer)
        with contextlib.suppress(ClientGoneError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self.client.send(data)
                self.client.end()
                while seen < LINGER_BYTES and (dropped := await self.client.receive()):
                    seen += len(dropped)
                    await self.gate.turns.take()

    async def refuse_tunnel(self, reason: str) -> None:
        """End a connection that was granted and is now refused."""
        if reason in (reasons.NO_SERVER_NAME, reasons.OTHER_SERVER_NAME):
            await self.last_words(ACCESS_DENIED)
