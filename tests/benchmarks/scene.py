"""What the parts of the suite share: services, deployments, drivers, each started when needed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import docker

from deploy.images import SANDBOX_IMAGE
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.secrets import SecretStore
from deploy.local.services import Services
from deploy.local.valkey import EmbeddedValkey
from tests.benchmarks.deployment import Deployment
from tests.benchmarks.drivers.process import Driver
from tests.harness import ROOT

FOLDER = ROOT / "build" / "bench"  # results, and the peers' environments
SEVERAL = {"max_connections": "400"}  # deployments on one server; each has production's pools
TELL_SECONDS = 2  # between two lines about what takes long


class Scene:
    """One run of the suite. `quick` measures less of everything."""

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self.image = SANDBOX_IMAGE
        self.samples: dict[str, object] = {}  # what is drawn
        self.ends = ExitStack()
        self._deployments: dict[str, Deployment] = {}
        self._part = ""
        self._told = 0.0
        self._number = 0

    @cached_property
    def services(self) -> Services:
        """PostgreSQL and Valkey, durable as in production."""
        self.tell("starting PostgreSQL and Valkey", at_once=True)
        folder = self.directory / "services"
        secrets = SecretStore(folder / "secrets.json")
        services = Services(
            postgres=EmbeddedPostgres(folder / "postgres", secrets=secrets, options=SEVERAL),
            valkey=EmbeddedValkey(folder / "valkey", secrets=secrets),
        )
        self.ends.callback(services.stop)
        services.start()
        return services

    @cached_property
    def engine(self) -> docker.DockerClient:
        """The container engine."""
        return docker.from_env(timeout=60)

    def choose(self, usual: int, quick: int) -> int:
        """Return how often something is done in this run."""
        return quick if self.quick else usual

    def begin(self, part: str) -> None:
        """Say which part comes now."""
        self._part, self._told = part, time.monotonic()
        print(f"{part} ...", flush=True)

    def tell(self, what: str, *, at_once: bool = False) -> None:
        """Say what is being done, if nothing was said for a while."""
        now = time.monotonic()
        if at_once or now - self._told >= TELL_SECONDS:
            self._told = now
            print(f"  {self._part}: {what}", flush=True)

    def deployment(self, name: str, **settings: str) -> Deployment:
        """Return the deployment of that name, started at the first time."""
        if name not in self._deployments:
            made = self.new_deployment(name, **settings)
            self.tell(f"starting the deployment {name!r}", at_once=True)
            made.up()
            self._deployments[name] = made
        return self._deployments[name]

    def new_deployment(self, name: str, **settings: str) -> Deployment:
        """Return a deployment with a database of its own, not started.

        Whoever starts it may take it down; in the end, and when interrupted, that is done here.
        """
        self._number += 1
        directory = self.directory / f"{name}-{self._number}"
        made = Deployment(self.services, directory, self._number, self.image, **settings)
        self.ends.callback(made.down)
        return made

    def driver(
        self,
        module: str,
        *arguments: str,
        python: Path = Path(sys.executable),
        environment: Mapping[str, str] | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> Driver:
        """Start a driver of tests.benchmarks.drivers. Raises DriverError."""
        command = [str(python), "-m", f"tests.benchmarks.drivers.{module}", *arguments]
        log = self.directory / f"{module}.log"
        driver = Driver(command, log, self._environment(environment), settle)
        self.ends.callback(driver.close)
        return driver

    def background(
        self, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a process that runs beside the drivers until the end."""
        with (self.directory / f"{module}-{'-'.join(arguments)}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"tests.benchmarks.drivers.{module}", *arguments],
                cwd=ROOT, env=self._environment(environment), stdout=log, stderr=log,
            )  # fmt: skip
        self.ends.callback(process.wait)
        self.ends.callback(process.terminate)

    @staticmethod
    def _environment(own: Mapping[str, str] | None) -> dict[str, str]:
        """Return this process's environment without what would lead a driver elsewhere."""
        foreign = ("AGENTCORE_", "BENCH_")
        clean = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
        return clean | {"PYTHONPATH": str(ROOT)} | dict(own or {})
