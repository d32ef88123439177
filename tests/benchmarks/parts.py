"""The parts of the suite, in the order in which they run."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import (
    batch,
    egress,
    hardening,
    latency,
    load,
    memory,
    neighbour,
    processors,
    steps,
    store,
    submits,
)
from tests.benchmarks.rows import Row
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import Subjects


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part: what it measures, in a line, and how."""

    about: str
    rows: Callable[[Scene, Subjects], list[Row]]


STORED, QUICK_STORED = 100_000, 5_000  # executions that have ended, unless STORED says


def _store(scene: Scene) -> list[Row]:
    os.environ.setdefault("STORED", str(scene.choose(STORED, QUICK_STORED)))
    return store.rows(scene.tell)


PARTS = {
    "latency": Part(
        about="submit to recorded outcome, one in flight, beside docker run, the plain SDK,\n"
        "epicbox, llm-sandbox and a Celery task that does nothing",
        rows=latency.rows,
    ),
    "load": Part(
        about="the same with 1, 8 and 32 in flight: sustained executions a second, and a burst",
        rows=load.rows,
    ),
    "processors": Part(
        about="who uses the processors while executions are kept up", rows=processors.rows
    ),
    "steps": Part(
        about="where the time of one execution goes, traced through all processes",
        rows=steps.rows,
    ),
    "batch": Part(about="programs a second in a batch, beside one execution each", rows=batch.rows),
    "submits": Part(
        about="API submits beside a bare FastAPI route that inserts one row", rows=submits.rows
    ),
    "store": Part(
        about="the platform's own work, with few and many queued and stored; STORED=1000000 in\n"
        "the environment stores so many, which takes minutes",
        rows=lambda scene, _subjects: _store(scene),
    ),
    "hardening": Part(about="what each layer of hardening costs a container", rows=hardening.rows),
    "memory": Part(
        about="memory of 50 sandboxes that wait, with a program and in the pool", rows=memory.rows
    ),
    "egress": Part(
        about="the egress proxy beside a direct connection, and beside a flood",
        rows=lambda _scene, _subjects: [*egress.rows(), *neighbour.rows()],
    ),
}
