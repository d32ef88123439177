"""Sees programs and containers start, from outside of everything that is being tested.

What is witnessed:

- Container starts, from the engine's own event stream: each of them, with its execution and
  attempt. A sandbox that starts is no user code yet.
- Programs, from the host's process list: a program of the storm carries its submission's key in
  its command line, which its supervisor, waiting for the job, does not. One process with the key
  is one start. The list is read every few milliseconds, so that a program which was killed at
  once may be missed: the count is a lower bound. What ran for a tenth of a second is seen.

Not witnessed: what a program did. A sandbox has no way out to tell it.
"""

import re
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType

import docker

MARK = re.compile(rb"#chaos-([0-9a-f-]{36})")
LOOK_SECONDS = 0.05
LABEL = "dev.agentcore."


def marked(program: str, key: str) -> list[str]:
    """Return a command that runs the Python `program` with its key for the witness to see."""
    return ["python3", "-c", f"{program}\n#chaos-{key}"]


class Witness:
    """Watches in two threads while it is entered."""

    def __init__(self, engine: docker.DockerClient, deployment: str) -> None:
        self.containers: Counter[tuple[str, int]] = Counter()  # starts by execution and attempt
        self._programs: dict[tuple[int, str], str] = {}  # key by pid and start time
        filters = {"label": f"{LABEL}deployment={deployment}", "event": "start"}
        self._events = engine.events(filters=filters, decode=True)
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
        self._events.close()
        for thread in self._threads:
            thread.join(timeout=10)

    @property
    def programs(self) -> Counter[str]:
        """Programs seen to start, by the key of their submission."""
        return Counter(list(self._programs.values()))

    def _listen(self) -> None:
        for event in self._events:
            facts = event["Actor"]["Attributes"]
            started = facts[f"{LABEL}execution"], int(facts[f"{LABEL}attempt"])
            self.containers[started] += 1

    def _look(self) -> None:
        while not self._enough.wait(LOOK_SECONDS):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and (found := _marked_process(entry)):
                    self._programs[int(entry.name), found[0]] = found[1]


def _marked_process(entry: Path) -> tuple[str, str] | None:
    """Return start time and key of a process that runs a program of the storm."""
    try:
        mark = MARK.search((entry / "cmdline").read_bytes())
        if mark is None:
            return None
        started = (entry / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None  # ended meanwhile
    return started, mark[1].decode()
