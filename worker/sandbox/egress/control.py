"""The proxy process's side of its control channel: JSON lines on standard input and output.

The worker is trusted and asks; the other way go answers, and twice a second what was used, so that
a new proxy can go on counting where one that died has stopped. The end of input is the end.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from worker.sandbox.egress.decisions import Report
from worker.sandbox.egress.errors import SocketPathError
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.policy import Policy
from worker.sandbox.egress.resolver import prepare_system_lookup
from worker.sandbox.egress.server import ProxyServer

MAX_LINE = 8_388_608  # bytes of one message: thousands of rules or gates
TOTALS_SECONDS = 0.5  # between two tellings of what was used


def run() -> None:
    """Serve the worker until it ends the channel."""
    # A signal to the group or to all of a service is the worker's to judge: it may want to let
    # its programs end, which need us.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prepare_process()
    asyncio.run(_serve())


async def _serve() -> None:
    await Control().serve()


def prepare_process() -> None:
    """Allow as many descriptors as there may be, no dump of what passes through here, and no
    look-up of another name than the one that was judged."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    prepare_system_lookup()


class Control:
    """Carries out what the worker asks for."""

    def __init__(self) -> None:
        self._server = ProxyServer()
        self._told: dict[str, Any] = {}

    async def serve(self) -> None:
        """Answer until the end of input; then close all gates."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_LINE)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        self._out, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
        telling = asyncio.create_task(self._tell_totals())
        try:
            while line := await reader.readline():
                self._write(await self._answer(line))
        finally:
            telling.cancel()
            await self._server.close_all()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        message = json.loads(line)
        try:
            report = await self._do(message["do"], Path(message["directory"]), message)
        except KeyError:
            return {"id": message["id"], "error": "no such gate"}
        except (OSError, SocketPathError, ValueError, TypeError) as error:
            return {"id": message["id"], "error": str(error)}
        return {"id": message["id"], "report": report and report.as_json()}

    async def _do(self, verb: str, directory: Path, message: dict[str, Any]) -> Report | None:
        if verb == "close":
            return await self._server.close(directory)
        earlier = message["earlier"]
        self._server.open(
            directory,
            Policy.parsed(**message["policy"]),
            Limits.from_json(message["limits"]),
            Report.from_json(earlier) if earlier else None,
        )
        return None

    async def _tell_totals(self) -> None:
        while True:
            await asyncio.sleep(TOTALS_SECONDS)
            now = self._server.totals()
            changed = {name: value for name, value in now.items() if self._told.get(name) != value}
            # Not on top of what the worker has not read yet: it is told the newest anyway. And
            # also when there is nothing new: silence would mean that this process hangs.
            if not self._out.get_write_buffer_size():
                self._told = now
                self._write({"totals": changed})

    def _write(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._out.write(json.dumps(message).encode() + b"\n")
