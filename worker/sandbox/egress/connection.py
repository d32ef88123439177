"""Serves one client: its first byte tells SOCKS from HTTP."""

import asyncio
import socket

from worker.sandbox.egress import http_proxy, socks
from worker.sandbox.egress.errors import ClientGoneError
from worker.sandbox.egress.session import GateState, Session


async def serve(sock: socket.socket, gate: GateState) -> None:
    """Serve a client until it or we end the connection; closes `sock`.

    A client's misbehaviour raises nothing; what is raised is a fault of ours, or the cancellation
    by which a gate ends its connections, and a client that left its own.
    """
    session = Session(sock, gate)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker: this is a coroutine
    gate.hangups.watch(sock, task.cancel)
    try:
        await _serve(session)
    except ClientGoneError:
        pass
    finally:
        gate.hangups.forget(sock)
        session.client.close()


async def _serve(session: Session) -> None:
    try:
        async with asyncio.timeout(session.gate.limits.header_seconds):
            if not await session.client.fill():
                return
    except TimeoutError:
        return  # it never asked for anything: nothing to judge, and no protocol to answer in
    if session.client.buffer[0] == socks.VERSION:
        await socks.serve(session)
    else:
        await http_proxy.serve(session)
