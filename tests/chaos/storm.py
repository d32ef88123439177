"""A storm: programs are submitted while parts die; then everything is mended and judged."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import docker
import psycopg

from deploy.local.services import Services, embedded_services
from tests.chaos.checker import Verdict, check, leftovers, not_kept, used_containers
from tests.chaos.faults import ENGINE, ENGINE_FAULTS, FAULTS, WORKERS
from tests.chaos.load import Load
from tests.chaos.scene import OWN_SETTINGS, NothingToBreakError, Repair, Scene
from tests.chaos.witness import Witness
from tests.harness import Stack, wait_until
from tests.own_engine import NoEngineError, OwnEngine, own_engine

GAP_SECONDS = (0.2, 1.2)  # between two faults
OUTAGE_SECONDS = (0.3, 2.0)  # until it is made good
LONG_OUTAGE_SECONDS = (0.5, 5.0)  # below and above the life of a lease and the engine's timeout
LONG_OUTAGES = ("workers", ENGINE)
SETTLE_SECONDS = 120  # for what is left to end, once everything is mended
# And then for the last sandboxes: one whose engine died amid its start, and has forgotten it, waits
# for a first word; see FIRST_WORD_SECONDS of the guest's supervisor.
STOP_SECONDS = 120 + 20
# A message that is lost again and again is sent after up to 64 times the resend interval.
SETTINGS = {"lease_seconds": "3", "drain_seconds": "4", "resend_seconds": "0.5",
            "docker_timeout_seconds": "3"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the storm did and what was found."""

    seed: int
    faults: Counter[str]
    verdict: Verdict
    seconds: float
    left_alone: str | None  # why the engine itself was not broken

    def lines(self) -> Iterator[str]:
        """Yield the table, what is wrong, and the closing line."""
        if self.left_alone:
            yield f"the container engine itself was left alone: {self.left_alone}"
        for kind in FAULTS | ENGINE_FAULTS:
            yield f"{kind:26} {self.faults[kind]:4}"
        for status, count in sorted(self.verdict.statuses.items()):
            yield f"  {status:24} {count:4}"
        yield f"programs in sandboxes that had been started ahead: {self.verdict.warm}"
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
    """Run `faults` faults on a stack of its own. The seed fixes what is done, not its timing.

    `engine` has the image, and is used itself only where no engine can be started.
    """
    began = time.monotonic()
    with (
        _own_engine(directory, engine, image) as (daemon, left_alone),
        _stack(directory, image, daemon) as (stack, services),
    ):
        engine = daemon.client if daemon else engine
        assert services.postgres is not None
        assert services.valkey is not None
        load = Load(stack.url, stack.new_key("storm"), seed)
        scene = Scene(
            stack=stack, postgres=services.postgres, valkey=services.valkey, engine=engine,
            daemon=daemon, load=load, choose=random.Random(seed),
        )  # fmt: skip
        with Witness(engine, scene.deployment) as witness:
            load.start()
            done = _break_things(scene, faults)
            load.stop()
            _settle(scene)
            found = check(stack.owner_url, engine, scene.deployment, load.accepted, witness)
            orphans = _orphans(scene)
    found = replace(
        found,
        leaked=found.leaked + len(orphans),
        violations=(*found.violations, *orphans, *load.problems),
    )
    seconds = time.monotonic() - began
    return Result(seed=seed, faults=done, verdict=found, seconds=seconds, left_alone=left_alone)


@contextmanager
def _own_engine(
    logs: Path, images_of: docker.DockerClient, image: str
) -> Iterator[tuple[OwnEngine | None, str | None]]:
    """Yield an engine that may be broken, or why there is none."""
    with ExitStack() as opened:
        daemon, left_alone = None, None
        try:
            daemon = opened.enter_context(own_engine(logs, images_of, image))
        except NoEngineError as error:
            left_alone = str(error)
        yield daemon, left_alone


@contextmanager
def _stack(
    directory: Path, image: str, daemon: OwnEngine | None
) -> Iterator[tuple[Stack, Services]]:
    # A killed PostgreSQL must still have everything; a killed Valkey may lose everything.
    services = Services(
        postgres=embedded_services(directory / "services", durable=True, valkey=False).postgres,
        valkey=embedded_services(directory / "services", durable=False, postgres=False).valkey,
    )
    try:
        services.start()
        stack = Stack(services, directory, image=image, **SETTINGS)
        if daemon is not None:
            stack.environment["DOCKER_HOST"] = daemon.url
        stack.migrate()
        try:
            stack.start("api", "control", "beat")
            for name in WORKERS:
                stack.start(name, **OWN_SETTINGS.get(name, {}))
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
    kinds = FAULTS | ENGINE_FAULTS if scene.daemon else FAULTS
    deck: list[str] = []
    done: Counter[str] = Counter()
    repairs: dict[str, tuple[float, Repair]] = {}  # when and how, by what is broken
    try:
        while done.total() < faults:
            if not any(scene.is_mended(kinds[kind][0]) for kind in deck):
                deck += scene.choose.sample(list(kinds), len(kinds))
            kind = deck.pop()
            part, fault = kinds[kind]
            limits = LONG_OUTAGE_SECONDS if part in LONG_OUTAGES else OUTAGE_SECONDS
            gap, outage = scene.choose.uniform(*GAP_SECONDS), scene.choose.uniform(*limits)
            _repair(repairs, until=time.monotonic() + gap)
            if part in repairs:
                _repair(repairs, until=repairs[part][0])
            if not scene.is_mended(part):
                deck.insert(0, kind)  # its turn comes when there is something to break again
                continue
            with suppress(NothingToBreakError):
                if repair := fault(scene):
                    repairs[part] = time.monotonic() + outage, repair
                done[kind] += 1
                _note(scene, f"{done.total()}: {kind}, {outage:.1f} s")
    finally:
        _repair(repairs, until=max((due for due, _ in repairs.values()), default=0))
        wait(scene.mends.values())
    for mend in scene.mends.values():
        mend.result()
    return done


def _repair(repairs: dict[str, tuple[float, Repair]], *, until: float) -> None:
    """Wait until then, and make good what is due in the meantime."""
    while due := [(when, part) for part, (when, _) in repairs.items() if when <= until]:
        when, part = min(due)
        time.sleep(max(0, when - time.monotonic()))
        repairs.pop(part)[1]()
    time.sleep(max(0, until - time.monotonic()))


def _orphans(scene: Scene) -> list[str]:
    """Return what runs in containers that the engine may have forgotten."""
    if scene.daemon is None:
        return []
    found = scene.daemon.in_containers()
    return [f"process {pid} still runs in a container: {line}" for pid, line in found.items()]


def _note(scene: Scene, what: str) -> None:
    """Write down what was done when, beside the logs of the processes."""
    with (scene.stack.directory / "storm.log").open("a") as log:
        log.write(f"{datetime.now(UTC).isoformat()} {what}\n")


def _settle(scene: Scene) -> None:
    """Wait until nothing is on its way, and stop the workers; what is left then, the checker finds.

    They must leave nothing: neither what has run a program nor what they kept for the next one.
    """
    keepers = {scene.stack.processes[name].pid for name in WORKERS}

    def over() -> bool:
        query = "SELECT count(*) FROM executions WHERE status IN ('queued', 'running')"
        with psycopg.connect(scene.stack.owner_url) as connection:
            row = connection.execute(query).fetchone()
        used = used_containers(scene.stack.owner_url)
        return row == (0,) and not not_kept(
            leftovers(scene.engine, scene.deployment), used, keepers
        )

    def gone() -> bool:
        return not leftovers(scene.engine, scene.deployment) and not _orphans(scene)

    _note(scene, "settling")
    try:
        wait_until(over, SETTLE_SECONDS, "the end of all executions")
        scene.stack.stop(*WORKERS)
        wait_until(gone, STOP_SECONDS, "the end of all sandboxes")
    except AssertionError as error:
        scene.load.problems.append(str(error))
        for name, process in scene.stack.processes.items():
            scene.load.problems.append(f"{name}: {process.poll()}, {scene.stack.log(name)[-600:]}")
