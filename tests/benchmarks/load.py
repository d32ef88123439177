"""Many at once: sustained executions a second, a burst, and how long each takes meanwhile."""

from tests.benchmarks.drivers.process import Driver, DriverError, Timing, settle
from tests.benchmarks.rows import Row, in_turn, measured, unmeasured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import COLD, NOOP, PEERS, SDK, WARM, Subjects, warm

OURS = (WARM, COLD, SDK)  # at every level; the others at one
LEVELS = (1, 8, 32)  # clients in a closed loop
SHARED_LEVEL = 8
CHUNKS = 2  # of each subject at each level, in an order that alternates
EACH, QUICK_EACH = 4, 1  # executions of a client in one chunk
FEWEST, QUICK_FEWEST = 16, 4  # executions of one chunk
NOOP_TIMES = 20  # as many messages as executions: they are that much quicker
LEAD_IN = 24  # executions before the clock starts: more than the pool holds


def rows(scene: Scene, subjects: Subjects) -> list[Row]:
    """Measure sustained rates and latencies at each level, then the burst."""
    found: list[Row] = []
    curve: dict[str, dict[int, float]] = {}
    for level in LEVELS:
        names = OURS if level != SHARED_LEVEL else (WARM, COLD, NOOP, *PEERS)
        chunks = _chunks(scene, subjects, names, level)
        found += _rows(subjects, names, level, chunks)
        for name, timings in chunks.items():
            if name != NOOP:  # it is so much quicker that nothing else could be seen
                curve.setdefault(name, {})[level] = _rate(timings)
    scene.samples["throughput"] = curve
    return [*found, *_burst(scene, subjects)]


def _chunks(
    scene: Scene, subjects: Subjects, names: tuple[str, ...], level: int
) -> dict[str, list[Timing]]:
    drivers = subjects.choose(*names)
    chunks: dict[str, list[Timing]] = {name: [] for name in drivers}
    for number in range(CHUNKS):
        for name in in_turn(list(chunks), number):
            scene.tell(f"{level} in flight, {name}", at_once=True)
            try:
                settle(drivers)
                chunks[name].append(_chunk(scene, name, drivers[name], level))
            except DriverError as error:
                subjects.refuse(name, str(error))
                del chunks[name], drivers[name]
    return chunks


def _chunk(scene: Scene, name: str, driver: Driver, level: int) -> Timing:
    each, fewest = scene.choose(EACH, QUICK_EACH), scene.choose(FEWEST, QUICK_FEWEST)
    count = max(fewest, each * level) * (NOOP_TIMES if name == NOOP else 1)
    if name in (WARM, COLD):
        # What a full pool answers at once says nothing about what can be kept up; and what is
        # removed in the background weighs at the end as it does at the beginning.
        driver.run(LEAD_IN, level)
    return driver.run(count, level)


def _rows(
    subjects: Subjects, names: tuple[str, ...], level: int, chunks: dict[str, list[Timing]]
) -> list[Row]:
    rates = {
        at(level, name): [len(timing.milliseconds) / timing.seconds for timing in timings]
        for name, timings in chunks.items()
    }
    notes = {
        at(level, name): f"of {len(timings)} x {len(timings[0].milliseconds)} executions"
        + (", the pool drained by others before" if name == WARM else "")
        for name, timings in chunks.items()
    }
    each = {
        at(level, name): [took for timing in timings for took in timing.milliseconds]
        for name, timings in chunks.items()
    }
    missing = [
        unmeasured(at(level, name), "1/s", subjects.refusals[name])
        for name in names
        if name not in chunks
    ]
    return [
        *measured("1/s", rates, at(level, SDK), notes=notes),
        *measured("ms", each, at(level, SDK)),
        *missing,
    ]


def at(level: int, name: str) -> str:
    """Return the name of the rows of a subject with so many in flight."""
    return f"{level} in flight: {name}"


def _rate(timings: list[Timing]) -> float:
    """Return the executions a second over all chunks."""
    executions = sum(len(timing.milliseconds) for timing in timings)
    return executions / sum(timing.seconds for timing in timings)


def _burst(scene: Scene, subjects: Subjects) -> list[Row]:
    """Measure as many at once as wait in the pool: what an agent's burst meets."""
    drivers = subjects.choose(WARM)
    rates: list[float] = []
    each: list[float] = []
    size = 0
    for driver in drivers.values():
        for number in range(CHUNKS + 1):
            driver.settle()
            size = warm(scene).pool()["waiting"]
            scene.tell(f"burst {number + 1} of {CHUNKS + 1}")
            timing = driver.run(size, size)
            rates.append(size / timing.seconds)
            each += timing.milliseconds
    name = f"a burst of {size}, as many as wait in the pool"
    if not rates:
        return [unmeasured("a burst from the full pool", "1/s", subjects.refusals[WARM])]
    return [*measured("1/s", {name: rates}), *measured("ms", {name: each})]
