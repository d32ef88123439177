"""Containers that nobody runs: removed by any worker of the host, and nothing else is touched."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from tests.harness import Stack, wait_until
from tests.integration.facts import bare_stack, column, containers, start_worker

LONG = {"execution_limits": {"max_execution_time_seconds": 120}}
SLEEP = "import time; time.sleep(100)"


@pytest.fixture
def two_workers(sandbox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with the workers a and b on this host."""
    directory = tmp_path_factory.mktemp("two")
    with bare_stack(directory, sandbox_image, drain_seconds="0") as (stack, _):
        stack.start("api", "control", "beat")
        for name in ("run-a", "run-b"):
            start_worker(stack, name)
        stack.wait_ready()
        yield stack


@pytest.fixture
def make(engine: docker.DockerClient, sandbox_image: str) -> Iterator[Callable[..., str]]:
    """Returns a function that makes a container with labels and returns its id."""
    made: list[str] = []

    def new(**labels: str) -> str:
        full = {f"dev.agentcore.{name}": value for name, value in labels.items()}
        created = engine.containers.create(
            sandbox_image, network_mode="none", stdin_open=True, labels=full
        )
        made.append(created.id)
        return made[-1]

    yield new
    for container_id in made:
        if _exists(engine, container_id):
            engine.api.remove_container(container_id, force=True)


def _exists(engine: docker.DockerClient, container_id: str) -> bool:
    return bool(engine.api.containers(all=True, filters={"id": container_id}))


def _owner(stack: Stack, execution_id: str) -> str:
    """Return the name of the process that runs an execution."""
    pid = int(column(stack, "lease_owner", execution_id).rpartition(":")[2])
    return next(name for name, process in stack.processes.items() if process.pid == pid)


def test_a_worker_that_hangs_loses_its_container_to_another_and_cannot_write(
    two_workers: Stack, engine: docker.DockerClient
) -> None:
    api = two_workers.client("hung")
    running = api.submit(SLEEP, **LONG)["id"]
    api.wait_started(running)
    hung = _owner(two_workers, running)
    os.kill(two_workers.processes[hung].pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not containers(engine, two_workers), 40, "the other worker's sweep")
        # Longer: it may hang with a transaction open, whose locks the database takes back.
        execution = api.outcome(running, timeout=50)
    finally:
        os.kill(two_workers.processes[hung].pid, signal.SIGCONT)
    assert (execution["status"], execution["reason"]) == ("lost", "worker_lost")
    # It notices, writes nothing, and goes on.
    log = two_workers.directory / f"{hung}.log"
    wait_until(lambda: "lease_lost" in log.read_text(), 20, "the worker's own notice")
    other = "run-a" if hung == "run-b" else "run-b"
    two_workers.stop(other)
    assert api.run("print('on')")["stdout"]["text"] == "on\n"
    assert api.outcome(running)["status"] == "lost"


def test_what_somebody_runs_and_what_is_not_ours_is_left_alone(
    two_workers: Stack, engine: docker.DockerClient, make: Callable[..., str]
) -> None:
    api = two_workers.client("careful")
    running = api.submit(SLEEP, **LONG)["id"]
    api.wait_started(running)
    ours = two_workers.environment["AGENTCORE_DEPLOYMENT"]
    later, nobody = str(int(time.time()) + 3600), "00000000-0000-4000-8000-000000000000"
    old: dict[str, Any] = {"execution": nobody, "attempt": "1", "deadline": "1"}
    kept = [make(), make(deployment="another", **old), make(deployment=ours), make(**old)]
    # Each worker passes by at least once: a leftover of nobody goes, and so does one past its
    # deadline whose execution is held (its own worker keeps time itself, the other one acts).
    gone = [
        make(deployment=ours, execution=nobody, attempt="1", deadline=later),
        make(deployment=ours, execution=running, attempt="1", deadline="1"),
    ]
    wait_until(lambda: not any(_exists(engine, item) for item in gone), 20, "the sweep")
    again = make(deployment=ours, execution=nobody, attempt="1", deadline=later)
    wait_until(lambda: not _exists(engine, again), 20, "another sweep")
    assert [_exists(engine, item) for item in kept] == [True] * 4
    assert containers(engine, two_workers, running)[0]["State"] == "running"
    assert api.get(f"/v1/executions/{running}").json()["status"] == "running"
    assert api.post(f"/v1/executions/{running}/cancel").status_code == 202
    assert api.outcome(running)["status"] == "cancelled"


def test_a_starting_worker_removes_what_its_predecessor_left(
    two_workers: Stack, engine: docker.DockerClient
) -> None:
    api = two_workers.client("heir")
    two_workers.stop("run-b")
    running = api.submit(SLEEP, **LONG)["id"]
    api.wait_started(running)
    dead = two_workers.processes.pop("run-a")
    dead.kill()
    dead.wait()
    assert containers(engine, two_workers)
    start_worker(two_workers, "run-b")
    wait_until(lambda: not containers(engine, two_workers), 20, "the leftovers to be removed")
    execution = api.outcome(running, timeout=20)
    assert (execution["status"], execution["reason"]) == ("lost", "worker_lost")
