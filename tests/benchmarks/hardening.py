"""What each layer of the container's hardening costs: the whole cycle with it and without it."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import docker

from tests.benchmarks.drivers.loop import EXPECTED
from tests.benchmarks.drivers.one_shot import hardened, run_once
from tests.benchmarks.drivers.spec import engine_options
from tests.benchmarks.rows import Row, measured, side_by_side
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import Subjects

ALL = "all layers: create, attach, start, run, wait, remove"
NONE = "none of them"
ROUNDS, QUICK_ROUNDS = 20, 2
HostConfig = dict[str, Any]
Change = Callable[[HostConfig], object]


def rows(scene: Scene, _subjects: Subjects) -> list[Row]:
    """Measure the cycle with all layers, and without each of them in turn.

    A layer's row is the cost of it: the difference within a round, which is what its median is
    over. Some tens of seconds.
    """
    api = docker.from_env(timeout=60).api
    arguments = hardened(api, engine_options(api))
    cycles: dict[str, Callable[[], float]] = {ALL: partial(_cycle, api, arguments)}
    without = {layer: [change] for layer, change in LAYERS.items()}
    for layer, changes in {**without, NONE: list(LAYERS.values())}.items():
        host = dict(arguments["host_config"])
        for change in changes:
            change(host)
        cycles[layer] = partial(_cycle, api, arguments | {"host_config": host})
    samples = side_by_side(cycles, scene.choose(ROUNDS, QUICK_ROUNDS), scene.tell)
    whole = samples[ALL]
    costs = {
        f"cost of {layer}": [
            with_it - without for with_it, without in zip(whole, values, strict=True)
        ]
        for layer, values in samples.items()
        if layer != ALL
    }
    costs["cost of all together"] = costs.pop(f"cost of {NONE}")
    return [
        *measured("ms", {ALL: whole, NONE: samples[NONE]}, ALL),
        *measured("ms", costs),
    ]


def _cycle(api: docker.APIClient, arguments: dict[str, Any]) -> float:
    begun = perf_counter()
    written = run_once(api, arguments)
    took = (perf_counter() - begun) * 1000
    assert written.strip() == EXPECTED, written
    return took


def _without(*names: str) -> Change:
    def change(host: HostConfig) -> None:
        for name in names:
            host.pop(name, None)

    return change


def _options_without(word: str, instead: list[str]) -> Change:
    def change(host: HostConfig) -> None:
        kept = [option for option in host.get("SecurityOpt", []) if not option.startswith(word)]
        host["SecurityOpt"] = kept + instead

    return change


def _network(host: HostConfig) -> None:
    host["NetworkMode"] = "default"


def _ipc(host: HostConfig) -> None:
    host["IpcMode"] = "shareable"


LAYERS: dict[str, Change] = {
    "seccomp": _options_without("seccomp", ["seccomp=unconfined"]),
    "dropped capabilities": _without("CapDrop", "CapAdd"),
    "no new privileges": _options_without("no-new-privileges", []),
    "the read-only root": _without("ReadonlyRootfs"),
    "the size-limited tmpfs folders": _without("Tmpfs"),
    "the memory, CPU and process limits": _without(
        "Memory", "MemorySwap", "CpuQuota", "CpuPeriod", "PidsLimit"
    ),
    "the ulimits": _without("Ulimits"),
    "no network, beside the engine's bridge": _network,
    "private IPC": _ipc,
}
