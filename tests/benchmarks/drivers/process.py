"""The benchmark's side of a driver process."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import ROOT

END_TIMEOUT = 15  # seconds for a driver to end with its input


class DriverError(Exception):
    """A subject could not run its programs."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What some executions took: each in milliseconds, all together in seconds."""

    milliseconds: list[float]
    seconds: float


class Driver:
    """Runs one subject's programs in a process of its own, through tests.benchmarks.drivers.loop.

    `settle` waits, outside the measured time, until the subject has finished what it does in the
    background, so that it weighs on nobody else.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.settle = settle
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self._answer()  # it is ready

    @property
    def pid(self) -> int:
        """The process that runs the programs."""
        return self._process.pid

    def run(self, count: int, in_flight: int = 1) -> Timing:
        """Run `count` programs, `in_flight` at a time. Raises DriverError."""
        return Timing(**self.ask(count=count, in_flight=in_flight))

    def ask(self, **what: Any) -> dict[str, Any]:
        """Return the answer to one request. Raises DriverError."""
        assert self._process.stdin is not None
        try:
            print(json.dumps(what), file=self._process.stdin, flush=True)
        except OSError as error:
            raise self._ended() from error
        answer = self._answer()
        if "error" in answer:
            raise DriverError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        try:
            self._process.communicate(timeout=END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> DriverError:
        self._process.kill()
        self._process.communicate()
        said = self._log.read_text(errors="replace").strip().splitlines()
        return DriverError(said[-1][:600] if said else "its process ended")


def settle(drivers: Mapping[str, Driver]) -> None:
    """Wait until none of the subjects does anything, also not for what it ran before another."""
    for driver in drivers.values():
        driver.settle()
