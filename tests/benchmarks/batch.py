"""A batch: one program over many inputs, beside as many executions of one program each."""

import time
from collections.abc import Callable
from functools import partial

from tests.benchmarks.drivers.process import Driver
from tests.benchmarks.drivers.rest import Rest, encoded
from tests.benchmarks.rows import Row, in_turn, measured, unmeasured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import WARM, Subjects, warm

INPUTS, QUICK_INPUTS = 1000, 100  # of one batch
ALONE, QUICK_ALONE = 40, 8  # executions of one program each, which are that much slower
IN_FLIGHT = 8
ROUNDS, QUICK_ROUNDS = 3, 1
PAGE = 1000  # results of one request
PROGRAM = "print(sum(map(int, input().split())))"
# Percent of a processor that a batch may use: by default, and as much as there is in one.
SHARES = {"half a processor, by default": 50, "a whole processor": 100}
ONE = "one execution for each program, 8 in flight over REST"


def rows(scene: Scene, subjects: Subjects) -> list[Row]:
    """Measure programs a second, until every result is in the client's hands."""
    client = warm(scene).rest()
    count = scene.choose(INPUTS, QUICK_INPUTS)
    drivers = subjects.choose(WARM)
    if not drivers:
        return [unmeasured("a batch", "programs/s", subjects.refusals[WARM])]
    alone = scene.choose(ALONE, QUICK_ALONE)
    ways: dict[str, Callable[[], float]] = {ONE: partial(_alone, drivers[WARM], alone)}
    for share, percent in SHARES.items():
        ways[batch_of(count, share)] = partial(_batch, client, count, percent)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(scene.choose(ROUNDS, QUICK_ROUNDS)):
        for name in in_turn(list(ways), number):
            drivers[WARM].settle()
            scene.tell(f"round {number + 1}, {name}", at_once=True)
            rates[name].append(ways[name]())
    return measured("programs/s", rates, ONE)


def batch_of(count: int, share: str) -> str:
    """Return the name of the row of a batch of so many with that share of a processor."""
    return f"a batch of {count} with {share}, to its last result"


def _batch(client: Rest, count: int, percent: int) -> float:
    """Run a batch, read all its results, check each, and return programs a second."""
    body = encoded(
        source=PROGRAM,
        inputs=[f"{number} 1" for number in range(count)],
        execution_limits={"max_execution_time_seconds": 30, "max_cpu_percent": percent},
    )
    client.connect()
    begun = time.perf_counter()
    execution = f"/v1/executions/{client.call('POST', '/v1/executions', body)['id']}"
    results: list[str] = []
    after, complete = -1, False
    while not complete:
        page = client.call("GET", f"{execution}/results?after={after}&limit={PAGE}&wait=30")
        results += [item["stdout"]["text"].strip() for item in page["items"]]
        after, complete = page["next"], page["complete"]
    seconds = time.perf_counter() - begun
    if results != [str(number + 1) for number in range(count)]:
        found = client.call("GET", execution)
        facts = {name: found[name] for name in ("status", "reason", "message", "batch")}
        raise RuntimeError(f"the batch left {len(results)} results: {facts}")
    return count / seconds


def _alone(driver: Driver, count: int) -> float:
    return count / driver.run(count, IN_FLIGHT).seconds
