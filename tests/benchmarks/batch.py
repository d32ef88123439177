"""A batch: one program over many inputs, beside as many executions of one program each."""

import time

from tests.benchmarks.drivers.process import Driver
from tests.benchmarks.drivers.rest import Rest, encoded
from tests.benchmarks.rows import Row, measured, unmeasured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import WARM, Subjects, warm

INPUTS, QUICK_INPUTS = 1000, 100  # of one batch
ALONE, QUICK_ALONE = 40, 8  # executions of one program each, which are that much slower
IN_FLIGHT = 8
ROUNDS, QUICK_ROUNDS = 3, 1
PAGE = 1000  # results of one request
PROGRAM = "print(sum(map(int, input().split())))"
ONE = "one execution for each program, 8 in flight over REST"


def rows(scene: Scene, subjects: Subjects) -> list[Row]:
    """Measure programs a second, until every result is in the client's hands."""
    client = warm(scene).rest()
    count = scene.choose(INPUTS, QUICK_INPUTS)
    batch = batch_of(count)
    drivers = subjects.choose(WARM)
    if not drivers:
        return [unmeasured(batch, "programs/s", subjects.refusals[WARM])]
    rates: dict[str, list[float]] = {ONE: [], batch: []}
    for number in range(scene.choose(ROUNDS, QUICK_ROUNDS)):
        for name in (ONE, batch) if number % 2 else (batch, ONE):
            drivers[WARM].settle()
            scene.tell(f"round {number + 1}, {name}", at_once=True)
            if name == batch:
                rates[name].append(_batch(client, count))
            else:
                rates[name].append(_alone(drivers[WARM], scene.choose(ALONE, QUICK_ALONE)))
    return measured("programs/s", rates, ONE)


def batch_of(count: int) -> str:
    """Return the name of the row of a batch of so many."""
    return f"a batch of {count}, from submit to its last result"


def _batch(client: Rest, count: int) -> float:
    """Run a batch, read all its results, check each, and return programs a second."""
    body = encoded(
        source=PROGRAM,
        inputs=[f"{number} 1" for number in range(count)],
        execution_limits={"max_execution_time_seconds": 30},
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
