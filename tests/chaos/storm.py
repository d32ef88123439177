"""A storm: programs are submitted while parts die; then everything is mended and judged."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import docker
import psycopg

from deploy.local.services import Services, embedded_services
from tests.chaos.checker import Verdict, check, leftovers
from tests.chaos.faults import FAULTS, WORKERS
from tests.chaos.load import Load
from tests.chaos.scene import NothingToBreakError, Repair, Scene
from tests.chaos.witness import Witness
from tests.harness import Stack, wait_until

GAP_SECONDS = (0.2, 1.2)  # between two faults
OUTAGE_SECONDS = (0.3, 2.0)  # until it is made good
WORKER_OUTAGE_SECONDS = (0.5, 5.0)  # below and above the life of a lease
SETTLE_SECONDS = 120  # for what is left to end, once everything is mended
# A message that is lost again and again is sent after up to 64 times the resend interval.
SETTINGS = {"lease_seconds": "3", "drain_seconds": "4", "resend_seconds": "0.5"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the storm did and what was found."""

    seed: int
    faults: Counter[str]
    verdict: Verdict
    seconds: float

    def lines(self) -> Iterator[str]:
        """Yield the table, what is wrong, and the closing line."""
        for kind in FAULTS:
            yield f"{kind:26} {self.faults[kind]:4}"
        for status, count in sorted(self.verdict.statuses.items()):
            yield f"  {status:24} {count:4}"
        yield from self.verdict.violations
        yield f"seed {self.seed}, {self.seconds:.0f} s"
        found = self.verdict
        yield (
            f"chaos: faults={self.faults.total()} accepted={found.accepted} "
            f"terminal={found.terminal} duplicated={found.duplicated} leaked={found.leaked}"
        )


def run_storm(
    engine: docker.DockerClient, image: str, directory: Path, *, seed: int, faults: int
) -> Result:
    """Run `faults` faults on a stack of its own. The seed fixes what is done, not its timing."""
    began = time.monotonic()
    with _stack(directory, image) as (stack, services):
        assert services.postgres is not None
        assert services.valkey is not None
        load = Load(stack.url, stack.new_key("storm"), seed)
        scene = Scene(
            stack=stack, postgres=services.postgres, valkey=services.valkey, engine=engine,
            load=load, choose=random.Random(seed),
        )  # fmt: skip
        with Witness(engine, scene.deployment) as witness:
            load.start()
            done = _break_things(scene, faults)
            load.stop()
            _settle(scene)
            found = check(stack.owner_url, engine, scene.deployment, load.accepted, witness)
    if load.problems:
        found = replace(found, violations=(*found.violations, *load.problems))
    seconds = time.monotonic() - began
    return Result(seed=seed, faults=done, verdict=found, seconds=seconds)


@contextmanager
def _stack(directory: Path, image: str) -> Iterator[tuple[Stack, Services]]:
    # A killed PostgreSQL must still have everything; a killed Valkey may lose everything.
    services = Services(
        postgres=embedded_services(directory / "services", durable=True, valkey=False).postgres,
        valkey=embedded_services(directory / "services", durable=False, postgres=False).valkey,
    )
    try:
        services.start()
        stack = Stack(services, directory, image=image, **SETTINGS)
        stack.migrate()
        try:
            stack.start("api", "control", "beat", *WORKERS)
            stack.wait_ready()
            yield stack, services
        finally:
            stack.stop()
    finally:
        services.stop()


def _break_things(scene: Scene, faults: int) -> Counter[str]:
    """Let one fault follow the other; outages of different parts overlap.

    Each kind comes once before any comes again, so that a short storm has nearly all of them.
    """
    deck: list[str] = []
    done: Counter[str] = Counter()
    repairs: dict[str, tuple[float, Repair]] = {}  # when and how, by what is broken
    try:
        while done.total() < faults:
            deck = deck or scene.choose.sample(list(FAULTS), len(FAULTS))
            kind = deck.pop()
            part, fault = FAULTS[kind]
            limits = WORKER_OUTAGE_SECONDS if part == "workers" else OUTAGE_SECONDS
            gap, outage = scene.choose.uniform(*GAP_SECONDS), scene.choose.uniform(*limits)
            _repair(repairs, until=time.monotonic() + gap)
            if part in repairs:
                _repair(repairs, until=repairs[part][0])
            with suppress(NothingToBreakError):
                if repair := fault(scene):
                    repairs[part] = time.monotonic() + outage, repair
                done[kind] += 1
                _note(scene, f"{done.total()}: {kind}, {outage:.1f} s")
    finally:
        _repair(repairs, until=max((due for due, _ in repairs.values()), default=0))
    return done


def _repair(repairs: dict[str, tuple[float, Repair]], *, until: float) -> None:
    """Wait until then, and make good what is due in the meantime."""
    while due := [(when, part) for part, (when, _) in repairs.items() if when <= until]:
        when, part = min(due)
        time.sleep(max(0, when - time.monotonic()))
        repairs.pop(part)[1]()
    time.sleep(max(0, until - time.monotonic()))


def _note(scene: Scene, what: str) -> None:
    """Write down what was done when, beside the logs of the processes."""
    with (scene.stack.directory / "storm.log").open("a") as log:
        log.write(f"{datetime.now(UTC).isoformat()} {what}\n")


def _settle(scene: Scene) -> None:
    """Wait until nothing is on its way; what is not over then, the checker finds."""

    def over() -> bool:
        query = "SELECT count(*) FROM executions WHERE status IN ('queued', 'running')"
        with psycopg.connect(scene.stack.owner_url) as connection:
            row = connection.execute(query).fetchone()
        return row == (0,) and not leftovers(scene.engine, scene.deployment)

    _note(scene, "settling")
    try:
        wait_until(over, SETTLE_SECONDS, "the end of all executions")
    except AssertionError as error:
        scene.load.problems.append(str(error))
        for name, process in scene.stack.processes.items():
            scene.load.problems.append(f"{name}: {process.poll()}, {scene.stack.log(name)[-600:]}")
