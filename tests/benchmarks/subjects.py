"""Who is measured: our own sandboxes in several ways, and the others."""

import secrets
from collections.abc import Callable

from deploy.local.containers import remove_containers
from tests.benchmarks.deployment import Deployment, broker_number, running
from tests.benchmarks.drivers.process import Driver, DriverError
from tests.benchmarks.drivers.spec import NOWHERE
from tests.benchmarks.peers.environment import peer_python, peer_version
from tests.benchmarks.peers.errors import PeerError
from tests.benchmarks.peers.image import peer_image
from tests.benchmarks.scene import Scene
from tests.harness import wait_until

WARM = "ours over REST, warm sandbox"
COLD = "ours over REST, cold sandbox"
ALONE_WARM = "our sandbox alone, warm: no API, broker or database"
ALONE_COLD = "our sandbox alone, cold: no API, broker or database"
SDK = "Docker SDK one-shot, same hardening"
DOCKER_RUN = "docker run --rm, the engine's defaults"
EPICBOX = "epicbox"
LLM_SANDBOX = "llm-sandbox, quickest options"
NOOP = "Celery no-op on the same broker"
PEERS = (DOCKER_RUN, SDK, EPICBOX, LLM_SANDBOX)
NOTES = {
    DOCKER_RUN: "bridge network, no limits",
    EPICBOX: f"{peer_version('epicbox')}, on our image and a shell",
    LLM_SANDBOX: f"{peer_version('llm-sandbox')}, without its virtual environment, killed at its "
    "end (by its defaults ten seconds more), on our image and a shell",
}
NOOP_BROKER = 15  # number of the broker's database that the no-op has for itself
ALONE_POOL = 4  # sandboxes that wait, as by default


class Subjects:
    """Drivers by the names of what they measure, made once; and why others could not be made."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._made: dict[str, Driver] = {}
        self.refusals: dict[str, str] = {}
        self._makers: dict[str, Callable[[], Driver]] = {
            WARM: lambda: self._rest(warm(scene)),
            COLD: lambda: self._rest(cold(scene)),
            ALONE_WARM: lambda: self._alone(ALONE_POOL),
            ALONE_COLD: lambda: self._alone(0),
            NOOP: self._noop,
            SDK: lambda: scene.driver("one_shot"),
            DOCKER_RUN: lambda: scene.driver("docker_run", scene.image),
            EPICBOX: lambda: self._peer("epicbox", "epicbox_run"),
            LLM_SANDBOX: lambda: self._peer("llm-sandbox", "llm_sandbox_run"),
        }

    def choose(self, *names: str) -> dict[str, Driver]:
        """Return those of `names` that run here; the others are in `refusals`."""
        for name in names:
            if name in self._made or name in self.refusals:
                continue
            self._scene.tell(f"starting {name!r}")
            try:
                self._made[name] = self._makers[name]()
            except (PeerError, DriverError) as error:
                self.refuse(name, str(error))
        return {name: self._made[name] for name in names if name in self._made}

    def refuse(self, name: str, why: str) -> None:
        """Measure it no more: a program of it failed."""
        self._scene.tell(f"without {name!r}: {why}", at_once=True)
        self._made.pop(name, None)
        self.refusals[name] = why

    def _rest(self, deployment: Deployment) -> Driver:
        environment = {"BENCH_URL": deployment.url, "BENCH_KEY": deployment.key}
        return self._scene.driver("rest", environment=environment, settle=deployment.settle)

    def _alone(self, pool: int) -> Driver:
        name = f"bench-{secrets.token_hex(4)}"
        self._scene.ends.callback(remove_containers, name)
        settings = {
            "database_url": NOWHERE,
            "broker_url": NOWHERE,
            "deployment": name,
            "pool_size": str(pool),
            "pool_max": str(pool),
        }

        def settle() -> None:
            driver.run(0)  # its pool is full
            wait_until(lambda: len(running(name)) == pool, what=f"{pool} waiting sandboxes")

        environment = {f"AGENTCORE_{key.upper()}": value for key, value in settings.items()}
        driver = self._scene.driver("alone", environment=environment, settle=settle)
        return driver

    def _noop(self) -> Driver:
        valkey = self._scene.services.valkey
        assert valkey is not None
        environment = {"BENCH_BROKER": broker_number(valkey.url, NOOP_BROKER)}
        self._scene.background("noop", "worker", environment=environment)
        return self._scene.driver("noop", environment=environment)

    def _peer(self, name: str, module: str) -> Driver:
        self._scene.tell(f"preparing {name}")
        python = peer_python(name)
        image = peer_image(self._scene.engine, self._scene.image)
        return self._scene.driver(module, image, python=python)


def warm(scene: Scene) -> Deployment:
    """Return the deployment with the pool as it is by default."""
    return scene.deployment("warm")


def cold(scene: Scene) -> Deployment:
    """Return the deployment without a pool."""
    return scene.deployment("cold", pool_max="0")
