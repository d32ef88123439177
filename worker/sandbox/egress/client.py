"""The worker's side of the egress proxy: one process, kept running, with a gate per sandbox."""

import contextlib
import secrets
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from worker.sandbox.egress import places
from worker.sandbox.egress.child import Child, ChildGoneError
from worker.sandbox.egress.decisions import Report
from worker.sandbox.egress.errors import EgressUnavailableError
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.policy import Policy

log = structlog.get_logger()

CALL_SECONDS = 15.0  # for one answer; a proxy that takes longer is taken for hung, and replaced
# From one start to the next after the proxy died, doubled while it goes on dying.
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds
STEADY_SECONDS = 10.0  # a proxy that lived so long starts with the first delay again


class Gate:
    """One sandbox's way out: `directory` is to be mounted, read-only, and holds `egress.sock`."""

    def __init__(
        self, proxy: "EgressProxy", directory: Path, policy: Policy, limits: Limits
    ) -> None:
        self.directory = directory
        self._proxy, self._policy, self._limits = proxy, policy, limits
        self._latest = Report()
        self._lock = threading.Lock()
        self._final: Report | None = None

    @property
    def socket(self) -> Path:
        """The socket in the directory."""
        return places.socket_path(self.directory)

    def drain(self) -> Report:
        """Return the totals so far and the decisions since the last call.

        Raises EgressUnavailableError; what was not told then comes with the next call, if the
        proxy lives.
        """
        return self._told(self._proxy.ask(self, "report"))

    def close(self) -> Report:
        """End all connections, remove the directory, and return the last report.

        Never fails: of a proxy that does not answer, the report has the last known totals. The
        first call's report is returned again by later ones.
        """
        with self._lock:
            if self._final is None:
                self._final = self._close()
            return self._final

    def _close(self) -> Report:
        self._proxy.forget(self)
        try:
            return self._told(self._proxy.ask(self, "close"))
        except EgressUnavailableError as error:
            log.warning("egress_report_lost", error=str(error))
            return self._latest
        finally:
            places.remove(self.directory)

    def _told(self, answer: dict[str, Any]) -> Report:
        try:
            report = Report.from_json(answer["report"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise EgressUnavailableError(f"a report that is none: {error}") from error
        # The proxy cannot know how many there were before it.
        report = replace(report, restarts=self._latest.restarts)
        self._latest = replace(report, decisions=(), more={}, more_hosts={})
        return report

    def heard(self, totals: dict[str, Any]) -> None:
        """Take note of what was used; a proxy that dies cannot be asked any more."""
        empty: dict[str, Any] = {"decisions": (), "more": {}, "more_hosts": {}}
        report = Report.from_json({**totals, **empty, "restarts": self._latest.restarts})
        self._latest = report

    def opening(self) -> dict[str, Any]:
        """Return the message that opens the gate, with what was used so far."""
        rules = {
            "allowed": [rule.text for rule in self._policy.allowed],
            "ceiling": self._policy.ceiling and [rule.text for rule in self._policy.ceiling],
            "denied": [rule.text for rule in self._policy.denied],
        }
        return {
            "do": "open",
            "directory": str(self.directory),
            "policy": rules,
            "limits": self._limits.as_json(),
            "earlier": self._latest.as_json(),
        }

    def orphaned(self) -> None:
        """Take note that the proxy died."""
        self._latest = replace(self._latest, restarts=self._latest.restarts + 1)


class EgressProxy:
    """Keeps one proxy process running; safe to use from any thread.

    `root` must be private to this user, or not be there yet; workers may share it.
    Raises OSError or SocketPathError when it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self._place = places.WorkerPlace(root)
        self._gates: dict[str, Gate] = {}
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

    def open(self, policy: Policy, limits: Limits) -> Gate:
        """Open a gate. Raises EgressUnavailableError, or SocketPathError."""
        gate = Gate(self, self._place.directory / secrets.token_hex(4), policy, limits)
        places.socket_path(gate.directory)
        with self._changed:
            # From here on a proxy that is started anew opens it, too.
            self._gates[str(gate.directory)] = gate
        try:
            self._call(gate.opening(), repeat=True)
        except BaseException:
            self.forget(gate)
            places.remove(gate.directory)
            raise
        return gate

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

    def ask(self, gate: Gate, verb: str) -> dict[str, Any]:
        """Ask something about a gate. Raises EgressUnavailableError."""
        return self._call({"do": verb, "directory": str(gate.directory)}, repeat=False)

    def forget(self, gate: Gate) -> None:
        """Let a proxy that is started anew not open this gate."""
        with self._changed:
            self._gates.pop(str(gate.directory), None)

    def _call(self, message: dict[str, Any], *, repeat: bool) -> dict[str, Any]:
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            # Without a repeat the question is to this proxy alone: the next one would not know.
            child = self._running(deadline if repeat else 0)
            try:
                return child.call(message, deadline)
            except ChildGoneError as error:
                if not repeat:
                    raise EgressUnavailableError("the egress proxy has died") from error
            except TimeoutError as error:
                child.kill()
                raise EgressUnavailableError("the egress proxy does not answer") from error

    def _running(self, deadline: float) -> Child:
        with self._changed:
            while self._child is None:
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
            if time.monotonic() - started > STEADY_SECONDS:
                delay = FIRST_DELAY
            if not self._stopping.wait(delay):
                log.warning("egress_proxy_ended", lived=round(time.monotonic() - started, 1))
            delay = min(delay * 2, LONGEST_DELAY)

    def _run_once(self) -> None:
        """Run one proxy process from its start to its end."""
        child = Child()
        with self._changed:
            self._reopen(child)
            self._child = child
            self._changed.notify_all()
        if self._stopping.is_set():
            child.stop()
        child.listen(self._heard)
        with self._changed:
            self._child = None
            for gate in self._gates.values():
                gate.orphaned()

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
