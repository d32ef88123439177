"""What a sandbox takes of the host's memory while its program waits, and while itself does."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker

from tests.benchmarks.deployment import Deployment, running
from tests.benchmarks.drivers.rest import encoded
from tests.benchmarks.machine import engine_processes, members, parents
from tests.benchmarks.rows import Row, measured, unmeasured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import Subjects
from tests.harness import wait_until

PROGRAMS, QUICK_PROGRAMS = 50, 8
START_TIMEOUT = 180  # seconds for all of them on a busy machine
SLEEP = "import time\nprint('here', flush=True)\ntime.sleep(600)"
CGROUPS = Path("/sys/fs/cgroup")
MIB = 1_048_576


def rows(scene: Scene, _subjects: Subjects) -> list[Row]:
    """Start so many of both kinds, and measure each part of what they take."""
    count = scene.choose(PROGRAMS, QUICK_PROGRAMS)
    try:
        return [*_sleeping(scene, count), *_waiting(scene, count)]
    except PermissionError as error:
        return [unmeasured("memory of a sandbox", "MiB", f"needs root: {error.filename}")]


def _sleeping(scene: Scene, count: int) -> list[Row]:
    """Measure programs that sleep, on a worker with a place for each."""
    most = str(count)
    deployment = scene.new_deployment(
        "memory", worker_slots=most, tenant_max_running=most, pool_max="0"
    )
    with _Started(deployment) as started:
        client = deployment.rest()
        body = encoded(source=SLEEP, execution_limits={"max_execution_time_seconds": 800})

        def submit(_: int) -> None:
            client.connect()
            client.call("POST", "/v1/executions", body)

        scene.tell(f"starting {count} sleeping programs", at_once=True)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(submit, range(count)))

        def all_sleep() -> bool:
            with deployment.database() as database:
                found = database.execute(
                    "SELECT count(*) FROM executions WHERE started_at IS NOT NULL"
                ).fetchone()
            return found == (count,) and len(running(deployment.name)) == count

        wait_until(all_sleep, START_TIMEOUT, f"the start of {count} programs")
        return started.rows(f"{count} with a sleeping program, each", count)


def _waiting(scene: Scene, count: int) -> list[Row]:
    """Measure sandboxes that wait in the pool for a job."""
    most = str(count)
    deployment = scene.new_deployment(
        "memory", pool_size=most, pool_max=most, pool_memory_mb=str(count * 40)
    )
    scene.tell(f"starting {count} waiting sandboxes", at_once=True)
    with _Started(deployment, pool=count) as started:
        return started.rows(f"{count} waiting in the pool, each", count)


class _Started:
    """A deployment that is up while the block runs, and what it and the engine took before."""

    def __init__(self, deployment: Deployment, pool: int = 0) -> None:
        self._deployment = deployment
        self._pool = pool
        self._before: dict[str, float] = {}

    def __enter__(self) -> "_Started":
        engine = engine_processes()
        self._before = {name: _pss(pid) for name, pid in engine.items()}
        # A pool begins to fill with its worker's start: what the worker takes is then unknown.
        self._deployment.up()
        if self._pool:
            size = self._pool
            wait_until(
                lambda: self._deployment.pool()["waiting"] == size, START_TIMEOUT, "a full pool"
            )
        else:
            self._before["worker"] = _pss(self._deployment.processes["run"].pid)
        return self

    def __exit__(self, *_: object) -> None:
        self._deployment.down()

    def rows(self, what: str, count: int) -> list[Row]:
        """Return what each sandbox takes, part by part, and all parts together."""
        api = docker.from_env(timeout=60).api
        containers = running(self._deployment.name)
        pids = [api.inspect_container(item)["State"]["Pid"] for item in containers]
        charged = [_charged(pid) / MIB for pid in pids]
        family = parents()
        shims = [_pss(family[pid]) for pid in pids]
        parts = {
            f"{what}: charged to its memory cgroup": charged,
            f"{what}: its processes (PSS)": [
                sum(_pss(one) for one in members(pid, family)) for pid in pids
            ],
            f"{what}: its shim (PSS)": shims,
        }
        grown = 0.0
        now = engine_processes() | {"worker": self._deployment.processes["run"].pid}
        for name, before in self._before.items():
            growth = (_pss(now[name]) - before) / count
            grown += growth
            parts[f"{what}: growth of the {name}, divided"] = [growth]
        parts[f"{what}: cgroup, shim and growth together"] = [
            one + shim + grown for one, shim in zip(charged, shims, strict=True)
        ]
        return measured("MiB", parts)


def _charged(pid: int) -> int:
    """Return the bytes charged to a process's memory cgroup, of either version."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return int((CGROUPS / f"memory{path}" / "memory.usage_in_bytes").read_text())
        if controllers == "":
            current = CGROUPS / path.lstrip("/") / "memory.current"
            if current.exists():
                return int(current.read_text())
    raise RuntimeError(f"process {pid} has no memory cgroup")


def _pss(pid: int) -> float:
    """Return the MiB that a process takes, its part of what is shared included."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
