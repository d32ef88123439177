"""Where the time of one execution goes, from submit to recorded outcome, step by step.

The processes are the real ones, each noting when its steps began and ended (traced.py). A step
lasts from the end of the one before it to its own end, as far as it is on the way to the answer:
together they are the whole.
"""

import json
import subprocess
import sys
import time
from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import traced
from tests.benchmarks.deployment import Deployment
from tests.benchmarks.drivers.rest import Rest, encoded, output_of
from tests.benchmarks.rows import Row, measured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import Subjects
from tests.harness import ROOT

EXECUTIONS, QUICK_EXECUTIONS = 60, 8  # of the warm kind, one at a time
COLD_EXECUTIONS, QUICK_COLD_EXECUTIONS = 20, 4
WHOLE = "all steps"


class Span(NamedTuple):
    """When a step began and ended, in nanoseconds of the clock that all processes share."""

    step: str
    begun: int
    ended: int


class Checkpoint(NamedTuple):
    """The moment at which a step of the budget is over: a traced step begins or has ended."""

    label: str
    step: str
    at_end: bool = True


BUDGET = (
    Checkpoint("HTTP: the request arrives", "authenticate", at_end=False),
    Checkpoint("authentication", "authenticate"),
    Checkpoint("the body measured and validated", "submit", at_end=False),
    Checkpoint("submit: one transaction", "submit"),
    Checkpoint("doorbell: to its thread", "publish", at_end=False),
    Checkpoint("broker and Celery: sent, taken, on a thread", "execute", at_end=False),
    Checkpoint("claim: one transaction", "claim"),
    Checkpoint("the request checked again", "run", at_end=False),
    Checkpoint("a sandbox taken from the pool, or none there", "take"),
    Checkpoint("container created, attached and started (cold only)", "start"),
    Checkpoint("isolation read from inside and from the engine", "verify"),
    Checkpoint("start recorded: one transaction", "start record"),
    Checkpoint("the program: sent, run, its output read", "follow"),
    Checkpoint("the sandbox let go", "record", at_end=False),
    Checkpoint("outcome recorded: one transaction", "refill", at_end=False),
    Checkpoint("notified: PostgreSQL to the API", "wake", at_end=False),
    Checkpoint("the answer: row read, encoded, sent, parsed", "client"),
)


def rows(scene: Scene, _subjects: Subjects) -> list[Row]:
    """Trace executions one at a time, with the pool and without."""
    warm = scene.choose(EXECUTIONS, QUICK_EXECUTIONS)
    cold = scene.choose(COLD_EXECUTIONS, QUICK_COLD_EXECUTIONS)
    return [
        *_traced(scene, "warm", warm, scene.new_deployment("steps")),
        *_traced(scene, "cold", cold, scene.new_deployment("steps", pool_max="0")),
    ]


def _traced(scene: Scene, kind: str, count: int, deployment: Deployment) -> list[Row]:
    files = {name: deployment.directory / f"{name}.spans" for name in ("api", "run")}
    deployment.prepare()
    try:
        _start(deployment, files)
        deployment.start("control", "beat")
        deployment.wait_ready()
        calls = _call(scene, deployment, count + 1)[1:]  # the first meets cold caches
        deployment.settle()
    finally:
        deployment.down()
    spans = sorted((span for path in files.values() for span in _read(path)), key=_begun)
    steps: dict[str, list[float]] = {}
    for call in calls:
        for label, took in steps_of(call, spans):
            steps.setdefault(f"{kind}: {label}", []).append(took)
    return measured("ms", steps, f"{kind}: {WHOLE}")


def _start(deployment: Deployment, files: dict[str, Path]) -> None:
    """Start the API and the worker, traced."""
    modules = {"api": ("api", "serve"), "run": ("worker", "run")}
    for name, file in files.items():
        with (deployment.directory / f"{name}.log").open("ab") as log:
            deployment.processes[name] = subprocess.Popen(
                [sys.executable, "-m", traced.__name__, str(file), *modules[name]],
                cwd=ROOT, env=deployment.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip


def _call(scene: Scene, deployment: Deployment, count: int) -> list[Span]:
    client: Rest = deployment.rest()
    body = encoded()
    calls = []
    for number in range(count):
        deployment.settle()
        client.connect()
        begun = time.monotonic_ns()
        output_of(client.run(body))
        calls.append(Span("client", begun, time.monotonic_ns()))
        scene.tell(f"{number + 1} of {count} traced executions")
    return calls


def _read(path: Path) -> list[Span]:
    return [Span(*json.loads(line)) for line in path.read_text().splitlines()]


def _begun(span: Span) -> int:
    return span.begun


def steps_of(call: Span, spans: list[Span]) -> list[tuple[str, float]]:
    """Return each step's milliseconds within a call; `spans` are in order of their beginning."""
    first = bisect_left(spans, call.begun, key=_begun)
    last = bisect_left(spans, call.ended, key=_begun)
    found = {span.step: span for span in reversed(spans[first:last])} | {"client": call}
    now, steps = call.begun, []
    for label, step, at_end in BUDGET:
        if step not in found or (step == "start" and not _is_cold(found)):
            continue
        moment = found[step].ended if at_end else found[step].begun
        # What went on beside the way to the answer takes none of its time.
        reached = min(max(now, moment), call.ended)
        steps.append((label, (reached - now) / 1e6))
        now = reached
    return [*steps, (WHOLE, (call.ended - call.begun) / 1e6)]


def _is_cold(found: dict[str, Span]) -> bool:
    """Whether a container was started before the isolation was read, and not beside it."""
    return found["start"].ended <= found["verify"].begun
