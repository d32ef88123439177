"""The worker's side of one proxy process: starting it, and asking it things."""

import itertools
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import structlog

from worker.sandbox.egress.control import MAX_LINE
from worker.sandbox.egress.errors import EgressError, EgressUnavailableError

log = structlog.get_logger()

ROOT = Path(__file__).resolve().parents[3]  # where the package `worker` is found
STOP_SECONDS = 5  # for the process to end by itself
# It says something twice a second; one that is silent for so long hangs, and another replaces it.
SILENCE_SECONDS = 10
PIECE = 65_536  # bytes read at once
# All that the process gets of the environment: it has no business with settings and secrets.
# The last one is the system resolver's.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "RES_OPTIONS")


class ChildGoneError(EgressError):
    """The process ended before it answered."""


class Child:
    """One proxy process. What it says is checked: it has listened to hostile programs."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-E", "-s", "-m", "worker.sandbox.egress"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout  # noqa: S101 - for the type checker
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        self._ids = itertools.count(1)
        self._asked: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._gone = False

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def call(self, message: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Return the answer to `message`.

        `deadline` is on the monotonic clock. Raises ChildGoneError, TimeoutError, or
        EgressUnavailableError when the process refuses.
        """
        answer = self.ask(message, deadline).result(max(0, deadline - time.monotonic()))
        if "error" in answer:
            raise EgressUnavailableError(str(answer["error"])[:500])
        return answer

    def ask(self, message: dict[str, Any], deadline: float) -> Future[dict[str, Any]]:
        """Send a message; its answer comes in time. Raises ChildGoneError or TimeoutError."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._gone or self._in.closed:
                raise ChildGoneError
            number = next(self._ids)
            self._asked[number] = future
            self._send(json.dumps({"id": number, **message}).encode() + b"\n", deadline)
        return future

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        poller = select.poll()
        poller.register(self._in.fileno(), select.POLLOUT)
        while view:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                # Half a message may have gone out: there is no talking on.
                self._process.kill()
                raise TimeoutError
            try:
                view = view[os.write(self._in.fileno(), view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                # One that lives and takes in no more is of no use: its end lets another begin.
                self._process.kill()
                raise ChildGoneError from error

    def listen(self, on_totals: Callable[[dict[str, Any]], None]) -> None:
        """Take what the process says until it ends, or is not to be listened to any more."""
        try:
            for line in self._lines():
                self._heard(json.loads(line), on_totals)
        except Exception as error:
            # Whatever that was, it is not what our own code says; a line can be made to break
            # its reader in any way, as by nesting too deep.
            log.warning(
                "egress_proxy_speaks_nonsense", kind=type(error).__name__, error=str(error)[:200]
            )

    def _lines(self) -> Iterator[bytes]:
        """Yield whole lines, until there are no more or none comes in time."""
        poller = select.poll()
        poller.register(self._out.fileno(), select.POLLIN)
        held = bytearray()
        while len(held) < MAX_LINE:
            if not poller.poll(SILENCE_SECONDS * 1000):
                log.error("egress_proxy_hangs", silent_seconds=SILENCE_SECONDS)
                return
            data = os.read(self._out.fileno(), PIECE)
            if not data:
                return
            *lines, rest = data.split(b"\n")
            for line in lines:
                yield bytes(held) + line
                held.clear()
            held += rest

    def _heard(self, message: dict[str, Any], on_totals: Callable[[dict[str, Any]], None]) -> None:
        if "totals" in message:
            on_totals(message["totals"])
        elif (future := self._asked.pop(message["id"], None)) is not None:
            future.set_result(message)

    def end(self) -> None:
        """End the process at once, and fail what was asked and not answered."""
        self._process.kill()
        with self._lock:
            self._gone = True
            asked, self._asked = self._asked, {}
        for future in asked.values():
            future.set_exception(ChildGoneError())
        self._process.wait()
        self._out.close()
        with self._lock:
            self._in.close()

    def kill(self) -> None:
        """Kill the process; `listen` then returns."""
        self._process.kill()

    def stop(self) -> None:
        """Let the process close its gates and end; kill it if it does not."""
        with self._lock:
            self._in.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
