"""Sees programs and containers start, from outside of everything that is being tested.

What is witnessed:

- Container starts, from the engine's own event stream: each of them, with its execution and
  attempt, or with its id alone where it was started ahead of a job. A sandbox that starts is no
  user code yet. An engine that died forgets its events, and the last ones may not have been handed
  out: this count, too, is a lower bound.
- Programs, from the host's process list: a program of the storm carries its submission's key in
  its command line, which its supervisor, waiting for the job, does not. One process with the key
  is one start. The list is read every few milliseconds, so that a program which was killed at
  once may be missed: the count is a lower bound. What ran for a tenth of a second is seen.

Not witnessed: what a program did. A sandbox has no way out to tell it.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import docker
import requests

MARK = re.compile(rb"#chaos-([0-9a-f-]{36})")
LOOK_SECONDS = 0.05
LABEL = "dev.agentcore."
WARM = f"{LABEL}warm"  # of a container that was started ahead of its job
SHORT = 12  # characters of a container's id that the system records


def marked(program: str, key: str) -> list[str]:
    """Return a command that runs the Python `program` with its key for the witness to see."""
    return ["python3", "-c", f"{program}\n#chaos-{key}"]


class Witness:
    """Watches in two threads while it is entered."""

    def __init__(self, engine: docker.DockerClient, deployment: str) -> None:
        self.containers: Counter[tuple[str, int]] = Counter()  # starts by execution and attempt
        self.ahead: Counter[str] = Counter()  # starts ahead of a job, by the container's short id
        self._programs: dict[tuple[int, str], str] = {}  # key by pid and start time
        self._engine = engine
        self._filters = {"label": f"{LABEL}deployment={deployment}", "event": "start"}
        self._since = int(time.time())
        self._starts: set[tuple[str, int]] = set()  # by container and nanoseconds
        self._events: Any = self._open()
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._listen, self._look)
        ]

    def __enter__(self) -> "Witness":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._enough.set()
        self._close()
        for thread in self._threads:
            thread.join(timeout=10)

    @property
    def programs(self) -> Counter[str]:
        """Programs seen to start, by the key of their submission."""
        return Counter(list(self._programs.values()))

    def running(self) -> Counter[str]:
        """Return the programs that run now, by the key of their submission."""
        return Counter(key for _, key in _marked_processes())

    def _listen(self) -> None:
        while not self._enough.wait(LOOK_SECONDS):
            with suppress(docker.errors.DockerException, requests.exceptions.RequestException):
                for event in self._events:
                    self._note(event)
                # The engine went down; back again, it tells what has been since it came up.
                self._events = self._open()
        self._close()  # which may have been opened after `__exit__` closed another

    def _open(self) -> Any:
        return self._engine.events(since=self._since, filters=self._filters, decode=True)

    def _close(self) -> None:
        with suppress(AttributeError, OSError):  # it ends at this moment by itself
            self._events.close()

    def _note(self, event: Mapping[str, Any]) -> None:
        this = event["Actor"]["ID"], event["timeNano"]
        if this not in self._starts:  # else it was told before
            self._starts.add(this)
            facts = event["Actor"]["Attributes"]
            if WARM in facts:
                self.ahead[event["Actor"]["ID"][:SHORT]] += 1
                return
            self.containers[facts[f"{LABEL}execution"], int(facts[f"{LABEL}attempt"])] += 1

    def _look(self) -> None:
        while not self._enough.wait(LOOK_SECONDS):
            self._programs |= dict(_marked_processes())


def _marked_processes() -> Iterator[tuple[tuple[int, str], str]]:
    """Yield pid and start time of each process that runs a program of a storm, and its key."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (mark := MARK.search((entry / "cmdline").read_bytes())):
                started = (entry / "stat").read_text().rpartition(")")[2].split()[19]
                yield (int(entry.name), started), mark[1].decode()
        except (OSError, IndexError):
            continue  # ended meanwhile
