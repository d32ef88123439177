"""From submit to recorded outcome, one at a time, beside everybody else."""

from collections.abc import Callable

from tests.benchmarks.drivers.process import Driver, DriverError, settle
from tests.benchmarks.rows import Row, in_turn, measured, unmeasured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import (
    ALONE_COLD,
    ALONE_WARM,
    COLD,
    NOOP,
    NOTES,
    PEERS,
    WARM,
    Subjects,
)

NAMES = (WARM, COLD, ALONE_WARM, ALONE_COLD, NOOP, *PEERS)
PLATFORM_WARM = "what the platform adds to the warm sandbox"
PLATFORM_COLD = "what the platform adds to the cold sandbox"
AGAIN = ", the second of two at once"
ROUNDS, QUICK_ROUNDS = 40, 5


def rows(scene: Scene, subjects: Subjects) -> list[Row]:
    """Measure one program of each in every round; about two seconds a round."""
    drivers = subjects.choose(*NAMES)
    samples = alternate(scene, subjects, drivers, lambda driver: driver.run(1).milliseconds)
    scene.samples["latency"] = samples
    found = measured("ms", samples, WARM if WARM in samples else COLD, notes=NOTES)
    found += measured("ms", _shares(samples) | _again(scene, subjects))
    return found + [
        unmeasured(name, "ms", subjects.refusals[name]) for name in NAMES if name not in samples
    ]


def _shares(samples: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return what the platform adds to its sandbox: the difference within each round."""
    pairs = {PLATFORM_WARM: (WARM, ALONE_WARM), PLATFORM_COLD: (COLD, ALONE_COLD)}
    return {
        name: [whole - alone for whole, alone in zip(samples[one], samples[other], strict=True)]
        for name, (one, other) in pairs.items()
        if one in samples and other in samples
    }


def _again(scene: Scene, subjects: Subjects) -> dict[str, list[float]]:
    """Measure the second of two that follow each other at once.

    The first one after a pause finds the processors' caches full of other things.
    """
    drivers = subjects.choose(*NAMES)
    samples: dict[str, list[float]] = {name: [] for name in (WARM, ALONE_WARM) if name in drivers}
    try:
        for number in range(scene.choose(ROUNDS, QUICK_ROUNDS)):
            for name in in_turn(list(samples), number):
                settle(drivers)
                samples[name].append(drivers[name].run(2).milliseconds[1])
    except DriverError as error:
        scene.tell(f"no second of two: {error}", at_once=True)
        return {}
    if len(samples) == 2:
        pairs = zip(samples[WARM], samples[ALONE_WARM], strict=True)
        samples[PLATFORM_WARM] = [whole - alone for whole, alone in pairs]
    return {f"{name}{AGAIN}": values for name, values in samples.items()}


def alternate(
    scene: Scene,
    subjects: Subjects,
    drivers: dict[str, Driver],
    measure: Callable[[Driver], list[float]],
) -> dict[str, list[float]]:
    """Measure all in each round, in an order that alternates; who fails once is left out."""
    samples: dict[str, list[float]] = {name: [] for name in drivers}
    rounds = scene.choose(ROUNDS, QUICK_ROUNDS)
    for number in range(rounds):
        for name in in_turn(list(samples), number):
            try:
                settle(drivers)
                samples[name] += measure(drivers[name])
            except DriverError as error:
                subjects.refuse(name, str(error))
                del samples[name], drivers[name]
        scene.tell(f"{number + 1} of {rounds} rounds")
    return samples
