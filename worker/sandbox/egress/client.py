"""The worker's side of the egress proxy: one process, kept running, with a gate per sandbox."""

import contextlib
import secrets
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import structlog

from worker.sandbox.egress import places
from worker.sandbox.egress.child import Child, ChildGoneError
from worker.sandbox.egress.errors import EgressUnavailableError, PlaceGoneError, SocketPathError
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.open_gate import Gate
from worker.sandbox.egress.policy import Policy

__all__ = ["EgressProxy", "Gate"]

log = structlog.get_logger()

CALL_SECONDS = 15.0  # for one answer; a proxy that takes longer is taken for hung, and replaced
# From one start to the next after the proxy died, doubled while it goes on dying.
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds
STEADY_SECONDS = 10.0  # a proxy that lived so long starts with the first delay again
# Of a gate's name, of which nobody may guess the next: the shorter one where paths must be short.
NAME_BYTES = (8, 4)


class EgressProxy:
    """Keeps one proxy process running; safe to use from any thread.

    `root` must be private to this user, or not be there yet; workers may share it.
    Raises OSError or SocketPathError when it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self._place = places.WorkerPlace(root)
        self._gates: dict[str, Gate] = {}
        self._reserved: set[Path] = set()
        self._child: Child | None = None
        self._changed = threading.Condition(threading.RLock())
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="egress-proxy", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int | None:
        """The process's id, if one runs."""
        child = self._child
        return child.pid if child else None

    def reserve(self) -> Path:
        """Make the directory of a gate that is opened later, to be mounted until then.

        Raises PlaceGoneError, SocketPathError or OSError.
        """
        with self._changed:
            directory = self._free_place()
            self._reserved.add(directory)
        try:
            places.make(directory)
        except OSError as error:
            self.release(directory)
            if not self._place.is_there():
                raise self._gone() from error
            raise
        return directory

    def release(self, directory: Path) -> None:
        """Remove a reserved directory; its gate must be closed, if it was ever opened."""
        with self._changed:
            self._reserved.discard(directory)
        places.remove(directory)

    def open(self, policy: Policy, limits: Limits, directory: Path | None = None) -> Gate:
        """Open a gate, in the directory that was reserved for it if there is one.

        Raises EgressUnavailableError, or SocketPathError. A PlaceGoneError is for good: close this
        proxy then, and make another.
        """
        with self._changed:
            gate = Gate(directory or self._free_place(), policy, limits, self._end)
            # From here on a proxy that is started anew opens it, too.
            self._gates[str(gate.directory)] = gate
        try:
            self._call(gate.opening(), repeat=True)
        except BaseException as error:
            self._abandon(gate)
            if isinstance(error, EgressUnavailableError) and not self._place.is_there():
                raise self._gone() from error
            raise
        return gate

    def _gone(self) -> PlaceGoneError:
        return PlaceGoneError(f"{self._place.directory} was removed")

    def _free_place(self) -> Path:
        """Return a place that no gate has. Raises SocketPathError."""
        for size in NAME_BYTES:
            directory = self._place.directory / secrets.token_hex(size)
            while str(directory) in self._gates or directory in self._reserved:
                directory = self._place.directory / secrets.token_hex(size)
            try:
                places.socket_path(directory)
            except SocketPathError:
                if size == NAME_BYTES[-1]:
                    raise
            else:
                return directory
        raise AssertionError("unreachable")

    def _abandon(self, gate: Gate) -> None:
        """Leave nothing of a gate that could not be opened, as far as anybody knows."""
        self._forget(gate)
        # The proxy that was not heard may have been replaced, and the new one told to open it.
        child = self._child
        if child is not None:
            with contextlib.suppress(ChildGoneError, TimeoutError):
                child.ask(gate.closing(), time.monotonic() + CALL_SECONDS)
        places.remove(gate.directory)

    def close(self) -> None:
        """End the proxy with all its gates, and remove the worker's directory."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
            child = self._child
        if child is not None:
            child.stop()
        self._keeper.join(CALL_SECONDS)
        self._place.close()

    def _end(self, gate: Gate) -> dict[str, Any]:
        self._forget(gate)
        return self._call(gate.closing(), repeat=False)

    def _forget(self, gate: Gate) -> None:
        """Let a proxy that is started anew not open this gate."""
        with self._changed:
            self._gates.pop(str(gate.directory), None)

    def _call(self, message: dict[str, Any], *, repeat: bool) -> dict[str, Any]:
        deadline = time.monotonic() + CALL_SECONDS
        child: Child | None = None
        while True:
            # Without a repeat the question is to this proxy alone: the next one would not know.
            child = self._running(deadline if repeat else 0, but_not=child)
            try:
                return child.call(message, deadline)
            except ChildGoneError as error:
                if not repeat or time.monotonic() >= deadline:
                    raise EgressUnavailableError("the egress proxy has died") from error
            except TimeoutError as error:
                child.kill()
                raise EgressUnavailableError("the egress proxy does not answer") from error

    def _running(self, deadline: float, but_not: Child | None) -> Child:
        """Return the proxy process that runs, other than one that is known to have ended."""
        with self._changed:
            while self._child is None or self._child is but_not:
                left = deadline - time.monotonic()
                if self._stopping.is_set() or left <= 0:
                    raise EgressUnavailableError("the egress proxy does not run")
                self._changed.wait(left)
            return self._child

    def _keep(self) -> None:
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._run_once()
            except OSError as error:
                log.error("egress_proxy_does_not_start", error=str(error))
            except Exception:
                # Whatever it is: without this thread no proxy would ever run again.
                log.exception("egress_proxy_keeper_failed")
            if time.monotonic() - started > STEADY_SECONDS:
                delay = FIRST_DELAY
            if not self._stopping.wait(delay):
                log.warning("egress_proxy_ended", lived=round(time.monotonic() - started, 1))
            delay = min(delay * 2, LONGEST_DELAY)

    def _run_once(self) -> None:
        """Run one proxy process from its start to its end."""
        child = Child()
        try:
            with self._changed:
                self._reopen(child)
                self._child = child
                self._changed.notify_all()
            if self._stopping.is_set():
                child.stop()
            child.listen(self._heard)
        finally:
            with self._changed:
                self._child = None
                for gate in self._gates.values():
                    gate.orphaned()
                self._changed.notify_all()
            child.end()

    def _reopen(self, child: Child) -> None:
        deadline = time.monotonic() + CALL_SECONDS
        for gate in self._gates.values():
            # If it is gone already, `listen` says so at once, and the next one is told again.
            with contextlib.suppress(ChildGoneError, TimeoutError):
                child.ask(gate.opening(), deadline).add_done_callback(_tell_failure)

    def _heard(self, totals: dict[str, Any]) -> None:
        for directory, used in totals.items():
            with self._changed:
                gate = self._gates.get(directory)
            if gate is not None:
                gate.heard(used)


def _tell_failure(opened: Future[dict[str, Any]]) -> None:
    if opened.exception() is None and "error" in opened.result():
        log.error("egress_gate_not_reopened", error=str(opened.result()["error"])[:500])
