"""Runs a process of ours with a note of when each step began and ended.

`python -m tests.benchmarks.traced FILE api serve`, or `... FILE worker run`: the process is the
real one; the functions named in MARKS are wrapped. FILE gets a line of JSON for each call, with
times of the clock that all processes of a machine share.
"""

import functools
import importlib
import json
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Where a function is looked up when it is called: the step's name, and module:attribute.
MARKS = {
    "api": {
        "authenticate": "api.guard:authenticate",
        "submit": "worker.submit:submit",
        "publish": "worker.doorbell:send_execute",
        "wake": "api.waiters:Waiters._wake",
    },
    "worker": {
        "execute": "worker.execution:Executor.execute",
        "claim": "worker.claims:claim",
        "run": "worker.sandbox.docker_backend:DockerBackend.run",
        "take": "worker.sandbox.pool.pool:Pool.take",
        "create": "docker:APIClient.create_container",
        "attach": "worker.sandbox.launcher:Connection.__init__",
        "start": "docker:APIClient.start",
        "verify": "worker.sandbox.docker_backend:verified_isolation",
        "start record": "worker.claims:start_user_code",
        "follow": "worker.sandbox.docker_backend:follow",
        "end": "worker.sandbox.launcher:Launcher.end",
        "record": "worker.outcomes:record",
        "refill": "worker.shares:refill",
    },
}


def found(place: str) -> tuple[Any, str, Callable[..., Any]]:
    """Return whose attribute a marked function is, its name, and the function."""
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    return owner, name, getattr(owner, name)


def _mark(place: str, step: str, note: Callable[[str, int, int], None]) -> None:
    owner, name, function = found(place)

    @functools.wraps(function)
    def marked(*arguments: Any, **named: Any) -> Any:
        begun = time.monotonic_ns()
        try:
            return function(*arguments, **named)
        finally:
            note(step, begun, time.monotonic_ns())

    setattr(owner, name, marked)


def main() -> None:
    file, module, *arguments = sys.argv[1:]
    with Path(file).open("a", buffering=1) as notes:

        def note(step: str, begun: int, ended: int) -> None:
            notes.write(json.dumps([step, begun, ended]) + "\n")

        for step, place in MARKS[module].items():
            _mark(place, step, note)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
