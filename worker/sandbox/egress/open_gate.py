"""The worker's side of one gate: where it is, and what is known of its use."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from worker.sandbox.egress import places
from worker.sandbox.egress.decisions import Report
from worker.sandbox.egress.errors import EgressUnavailableError
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.policy import Policy

log = structlog.get_logger()


class Gate:
    """One sandbox's way out: `directory` is to be mounted, read-only, and holds `egress.sock`.

    `end` closes the gate in the proxy and returns its answer; it may raise EgressUnavailableError.
    """

    def __init__(
        self,
        directory: Path,
        policy: Policy,
        limits: Limits,
        end: "Callable[[Gate], dict[str, Any]]",
    ) -> None:
        self.directory = directory
        self._policy, self._limits, self._end = policy, limits, end
        self._latest = Report()
        self._lock = threading.Lock()
        self._final: Report | None = None

    @property
    def socket(self) -> Path:
        """The socket in the directory."""
        return places.socket_path(self.directory)

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
        try:
            return self._told(self._end(self))
        except EgressUnavailableError as error:
            log.warning("egress_report_lost", error=str(error))
            self.orphaned()
            return self._latest
        finally:
            places.remove(self.directory)

    def _told(self, answer: dict[str, Any]) -> Report:
        try:
            report = Report.from_json(answer["report"])
        except (LookupError, ValueError) as error:
            raise EgressUnavailableError(f"a report that is none: {error}") from error
        # The proxy cannot know how many there were before it.
        return replace(report, restarts=self._latest.restarts)

    def heard(self, totals: dict[str, Any]) -> None:
        """Take note of what was used; a proxy that dies cannot be asked any more.

        Raises ValueError for what our own code does not say, or TypeError.
        """
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

    def closing(self) -> dict[str, Any]:
        """Return the message that closes the gate."""
        return {"do": "close", "directory": str(self.directory)}

    def orphaned(self) -> None:
        """Take note that the proxy died."""
        self._latest = replace(self._latest, restarts=self._latest.restarts + 1)
