"""Sandboxes that wait, and what becomes of them when their worker dies, hangs or is stopped."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import docker
import httpx
import pytest

from tests.harness import Api, Stack, free_port, wait_until
from tests.integration.facts import bare_stack, column, containers, start_worker

SIZE = 2  # sandboxes that wait in each worker
ABANDONED = "70"  # exit code of a supervisor whose input ended


@pytest.fixture(scope="module")
def stack(sandbox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose workers keep sandboxes ready, and no worker yet."""
    settings = {"pool_size": str(SIZE), "pool_max": "4"}
    with bare_stack(tmp_path_factory.mktemp("warm"), sandbox_image, **settings) as (made, _):
        made.start("api", "control", "beat")
        yield made


@pytest.fixture
def workers(stack: Stack, engine: docker.DockerClient) -> Iterator[Stack]:
    """The workers a and b, each with its sandboxes; stopped in the end, when nothing is left."""
    names = {"run-a", "run-b"}
    for name in names:
        start_worker(stack, name)
    stack.wait_ready()
    for name in names:
        wait_until(lambda name=name: _is_full(engine, stack, name), 60, f"the sandboxes of {name}")
    yield stack
    for name in stack.processes.keys() & names:
        stack.stop(name)
    wait_until(lambda: not containers(engine, stack), 20, "the containers to be gone")


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    with stack.client("warm") as client:
        yield client


def _owned(engine: docker.DockerClient, stack: Stack, pid: int) -> dict[str, str]:
    """Return the states of a worker's containers, by id."""
    found = containers(engine, stack)
    return {
        item["Id"]: item["State"]
        for item in found
        if item["Labels"]["dev.agentcore.worker"].endswith(f":{pid}")
    }


def _is_full(engine: docker.DockerClient, stack: Stack, name: str) -> bool:
    states = list(_owned(engine, stack, stack.processes[name].pid).values())
    return states == ["running"] * SIZE


def _engine_of(execution: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = execution["isolation"]["engine"]
    return found


def test_a_killed_workers_sandboxes_end_by_themselves_and_another_worker_removes_them(
    workers: Stack, engine: docker.DockerClient, api: Api
) -> None:
    dead = workers.processes.pop("run-a")
    before = _owned(engine, workers, dead.pid)
    others = _owned(engine, workers, workers.processes["run-b"].pid)
    label = f"dev.agentcore.deployment={workers.environment['AGENTCORE_DEPLOYMENT']}"
    events: Any = engine.api.events(filters={"event": "die", "label": label}, decode=True)
    dead.kill()
    dead.wait()
    ends = [next(events)["Actor"] for _ in before]
    events.close()
    # By themselves, and not by a removal: that leaves 137, of SIGKILL.
    assert {end["ID"]: end["Attributes"]["exitCode"] for end in ends} == dict.fromkeys(
        before, ABANDONED
    )
    wait_until(lambda: not _owned(engine, workers, dead.pid), 30, "the other worker's sweep")
    assert _owned(engine, workers, workers.processes["run-b"].pid) == others
    assert _engine_of(api.run("pass"))["warm"] is True


def test_a_worker_that_hangs_loses_its_sandboxes_and_has_new_ones_when_it_goes_on(
    workers: Stack, engine: docker.DockerClient, api: Api
) -> None:
    limits = {"max_execution_time_seconds": 120}
    running = api.submit("import time; time.sleep(100)", execution_limits=limits)["id"]
    api.wait_started(running)
    pid = int(column(workers, "lease_owner", running).rpartition(":")[2])
    (name,) = (name for name, process in workers.processes.items() if process.pid == pid)
    wait_until(lambda: len(_owned(engine, workers, pid)) == SIZE + 1, 30, "one in use, two ready")
    assert not containers(engine, workers, running)  # with its label: it was started ahead
    before = _owned(engine, workers, pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not _owned(engine, workers, pid), 30, "the other worker's sweep")
        execution = api.outcome(running)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (execution["status"], execution["reason"]) == ("lost", "worker_lost")
    wait_until(lambda: _is_full(engine, workers, name), 30, "new ones")
    assert before.keys().isdisjoint(_owned(engine, workers, pid))
    workers.stop(*({"run-a", "run-b"} - {name}))
    assert _engine_of(api.run("pass"))["warm"] is True


def test_a_stopped_worker_leaves_no_sandbox_and_finishes_what_runs_in_one(
    workers: Stack, engine: docker.DockerClient, api: Api
) -> None:
    running = [api.submit("import time; time.sleep(2); print('ended')")["id"] for _ in range(2)]
    for item in running:
        api.wait_started(item)
    workers.stop("run-a", "run-b")
    assert containers(engine, workers) == []
    for item in running:
        execution = api.outcome(item, 1)
        assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "ended\n")
        assert _engine_of(execution)["warm"] is True


def test_a_worker_tells_prometheus_of_its_pool_and_a_setting_turns_it_off(
    stack: Stack, engine: docker.DockerClient, api: Api
) -> None:
    for most, start in (("4", "warm"), ("0", "cold")):
        port = free_port()
        start_worker(stack, "run-c", pool_max=most, worker_metrics_port=str(port))
        stack.wait_ready()
        if most != "0":
            wait_until(lambda: _is_full(engine, stack, "run-c"), 60, "the sandboxes")
        assert _engine_of(api.run("pass"))["warm"] is (start == "warm")
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert f'agentcore_pool_sandboxes_total{{start="{start}"}} 1.0' in text
        assert f'agentcore_sandbox_ready_seconds_count{{start="{start}"}} 1.0' in text
        assert f"agentcore_pool_target {SIZE if most != '0' else 0}.0" in text
        stack.stop("run-c")
    assert containers(engine, stack) == []
