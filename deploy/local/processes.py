"""Starts, watches and stops our own processes, which outlive the command that starts them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from deploy.errors import ServiceStartError
from deploy.local.handles import TERMINATE_SECONDS, ProcessHandle, stop_all
from deploy.system import last_line

LOG_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process to run. Secrets belong into `environment`: everybody can read `argv`.

    `stop_seconds` is how long it may take to end once it is told to.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    stop_seconds: float = TERMINATE_SECONDS


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """What is known of one process. `state` is running, dead (it should run) or stopped."""

    name: str
    state: str
    pid: int | None
    uptime_seconds: float | None
    log: str


class Supervisor:
    """Keeps `STATE/run/NAME.json` (who runs) and `STATE/logs/NAME.log` (what it said)."""

    def __init__(self, state: Path, *, cwd: Path) -> None:
        """Take the state folder and the working folder of the processes."""
        self._run = state / "run"
        self._logs = state / "logs"
        self._cwd = cwd
        # Held so that a process that a test started is reaped, not left as a zombie.
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def log_of(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._logs / f"{name}.log"

    def handle_of(self, name: str) -> ProcessHandle | None:
        """Return the process recorded under `name` if it still runs."""
        known = ProcessHandle.load(self._record(name))
        return known if known is not None and known.is_alive() else None

    def start(self, spec: ProcessSpec) -> bool:
        """Start a process unless it runs; returns whether it was started."""
        if self.handle_of(spec.name) is not None:
            return False
        self._prepare(spec.name)
        with self.log_of(spec.name).open("ab") as log:
            child = subprocess.Popen(
                list(spec.argv), start_new_session=True, **self._surroundings(spec, log)
            )
        self._children[spec.name] = child
        handle = ProcessHandle.of(child.pid)
        if handle is None:
            raise self.failure(spec.name)
        replace(handle, stop_seconds=spec.stop_seconds).save(self._record(spec.name))
        return True

    def run_to_end(self, spec: ProcessSpec, *, timeout: float) -> None:
        """Run a process that ends by itself; raises `ServiceStartError` unless it succeeds."""
        self._prepare(spec.name)
        try:
            with self.log_of(spec.name).open("ab") as log:
                done = subprocess.run(
                    list(spec.argv), check=False, timeout=timeout, **self._surroundings(spec, log)
                )
        except subprocess.TimeoutExpired as error:
            raise ServiceStartError(f"{spec.name} did not end in {timeout:.0f} s") from error
        if done.returncode != 0:
            raise self.failure(spec.name)

    def _surroundings(self, spec: ProcessSpec, log: IO[bytes]) -> dict[str, Any]:
        """Return how every process is run: no input, output to its log, only its own settings."""
        return {
            "stdin": subprocess.DEVNULL,
            "stdout": log,
            "stderr": log,
            "cwd": self._cwd,
            "env": dict(spec.environment),
        }

    def stop_seconds(self, names: Sequence[str], *, unrecorded: float) -> float:
        """Return how long the slowest of those that run may take to end; 0 where none runs.

        `unrecorded` stands for what a record does not say: one from before it was kept there.
        """
        known = [handle.stop_seconds for handle in self._running(names).values()]
        return max((unrecorded if own is None else own for own in known), default=0.0)

    def stop(self, names: Sequence[str], *, timeout: float = TERMINATE_SECONDS) -> list[str]:
        """Stop processes together, hard after `timeout` seconds; returns the names of what ran."""
        running = self._running(names)
        stop_all(list(running.values()), timeout=timeout)
        for name in names:
            self._record(name).unlink(missing_ok=True)
            child = self._children.pop(name, None)
            if child is not None:
                child.wait()
        return list(running)

    def status(self, name: str) -> ProcessStatus:
        """Return what is known of the process `name`."""
        handle = self.handle_of(name)
        state = "dead" if self._record(name).exists() else "stopped"
        return ProcessStatus(
            name=name,
            state="running" if handle else state,
            pid=handle.pid if handle else None,
            uptime_seconds=round(handle.age_seconds(), 1) if handle else None,
            log=str(self.log_of(name)),
        )

    def failure(self, name: str) -> ServiceStartError:
        """Return the error that tells of a process that ended, with the last thing it said."""
        log = self.log_of(name)
        said = last_line(log.read_text(errors="replace")) if log.exists() else ""
        return ServiceStartError(f"{name} ended: {said or 'it said nothing'} (log: {log})")

    def _running(self, names: Sequence[str]) -> dict[str, ProcessHandle]:
        return {name: handle for name in names if (handle := self.handle_of(name)) is not None}

    def _record(self, name: str) -> Path:
        return self._run / f"{name}.json"

    def _prepare(self, name: str) -> None:
        for folder in (self._run, self._logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self.log_of(name)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        log.touch(mode=0o600)
