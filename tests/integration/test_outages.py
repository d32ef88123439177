"""Parts that are away: nothing is lost, and whoever asks is told."""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import psycopg
import pytest

from deploy.local.services import Services, start_services
from tests.harness import Api, Stack, wait_until


@pytest.fixture
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A pair that a test may stop."""
    pair = start_services(tmp_path_factory.mktemp("own"), durable=False)
    yield pair
    pair.stop()


@pytest.fixture
def own_stack(
    own_services: Services, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack without processes yet."""
    running = Stack(own_services, tmp_path_factory.mktemp("own-stack"), image=sandbox_image)
    running.migrate()
    yield running
    running.stop()


def _containers(engine: docker.DockerClient, stack: Stack) -> list[Any]:
    deployment = stack.environment["AGENTCORE_DEPLOYMENT"]
    filters = {"label": f"dev.agentcore.deployment={deployment}"}
    # Not the SDK's list, which looks at each again and fails when one has gone meanwhile.
    return engine.api.containers(all=True, filters=filters)


def _readiness(stack: Stack) -> dict[str, object]:
    answer = httpx.get(f"{stack.url}/health/ready", timeout=20)
    return {"code": answer.status_code, **answer.json()}


def test_a_missing_engine_is_told_and_the_execution_runs_when_it_is_back(
    own_stack: Stack, tmp_path: Path
) -> None:
    away = tmp_path / "docker.sock"
    own_stack.environment["DOCKER_HOST"] = f"unix://{away}"
    own_stack.start("api", "run", "control", "beat")
    wait_until(
        lambda: "run" in own_stack.processes and "engine" in own_stack.log("run"),
        30, "the worker's complaint",
    )  # fmt: skip
    assert "engine_unavailable" in own_stack.log("run")
    wait_until(
        lambda: "container engine does not answer" in str(_readiness(own_stack)["workers"]),
        30, "readiness",
    )  # fmt: skip
    assert _readiness(own_stack)["code"] == 503
    api = own_stack.client("patient")
    accepted = api.submit("print('at last')")
    away.symlink_to("/var/run/docker.sock")
    execution = api.outcome(accepted["id"])
    assert execution["status"] == "succeeded"
    own_stack.wait_ready()


def test_without_the_broker_submits_are_accepted_and_run_later(
    own_stack: Stack, own_services: Services
) -> None:
    own_stack.start("api", "run", "control", "beat")
    own_stack.wait_ready()
    api = own_stack.client("brokerless")
    assert own_services.valkey is not None
    own_services.valkey.stop()
    started = time.monotonic()
    accepted = [api.submit(f"print({n})") for n in range(3)]
    assert time.monotonic() - started < 20
    wait_until(lambda: _readiness(own_stack)["broker"] != "ok", 30, "readiness")
    assert httpx.get(f"{own_stack.url}/health/ready?only=api", timeout=20).status_code == 200
    metrics = httpx.get(f"{own_stack.url}/metrics", timeout=20).text
    assert 'agentcore_ready{part="broker"} 0.0' in metrics
    assert 'agentcore_ready{part="database"} 1.0' in metrics
    own_services.valkey.start()
    outcomes = [api.outcome(item["id"], timeout=90) for item in accepted]
    assert [item["stdout"]["text"] for item in outcomes] == ["0\n", "1\n", "2\n"]


def test_a_broker_that_crashes_while_programs_run_ends_no_process(
    own_stack: Stack, own_services: Services
) -> None:
    own_stack.environment["AGENTCORE_WORKER_SLOTS"] = "8"
    own_stack.start("api", "run", "control", "beat")
    own_stack.wait_ready()
    api = own_stack.client("crashing")
    valkey = own_services.valkey
    assert valkey is not None
    for _ in range(3):
        programs = [api.submit("import time; time.sleep(4); print('ran')") for _ in range(6)]
        for item in programs:
            api.wait_started(item["id"])
        handle = valkey.handle()
        assert handle is not None
        os.kill(handle.pid, signal.SIGKILL)
        wait_until(lambda: valkey.handle() is None, 10, "the broker's end")
        for item in programs:
            assert api.outcome(item["id"])["stdout"]["text"] == "ran\n"
        valkey.start()
        own_stack.wait_ready()  # and each process lives
        assert api.run("print('again')")["stdout"]["text"] == "again\n"
    assert "Unrecoverable" not in own_stack.log("run")


def test_without_the_database_submits_are_refused_and_running_work_is_recorded(
    own_stack: Stack, own_services: Services
) -> None:
    own_stack.start("api", "run", "control", "beat")
    own_stack.wait_ready()
    api = own_stack.client("databaseless")
    assert own_services.postgres is not None
    running = api.submit("import time; time.sleep(4); print('recorded')")
    api.wait_started(running["id"])
    own_services.postgres.stop()
    answer = api.post("/v1/executions", json={"source": "pass"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: _readiness(own_stack)["code"] == 503, 10, "readiness")
    own_services.postgres.start()
    execution = api.outcome(running["id"])
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "recorded\n")


def test_a_killed_worker_leaves_no_container_and_one_outcome(
    own_stack: Stack, engine: docker.DockerClient
) -> None:
    own_stack.start("api", "run", "control", "beat")
    own_stack.wait_ready()
    api = own_stack.client("unlucky")
    once = api.submit("import time; print('first', flush=True); time.sleep(30)",
                      execution_limits={"max_execution_time_seconds": 60})  # fmt: skip
    twice = api.submit(
        "import time; time.sleep(3); print('done')",
        max_attempts=2,
        execution_limits={"max_execution_time_seconds": 60},
    )
    api.wait_started(once["id"])
    api.wait_started(twice["id"])
    os.killpg(own_stack.processes["run"].pid, signal.SIGKILL)
    own_stack.processes.pop("run").wait()
    # The supervisors see their input end: no worker is needed for the containers to go down.
    wait_until(
        lambda: all(item["State"] != "running" for item in _containers(engine, own_stack)),
        10, "containers to end",
    )  # fmt: skip
    own_stack.start("run-again")
    lost = api.outcome(once["id"])
    assert (lost["status"], lost["reason"]) == ("lost", "worker_lost")
    retried = api.outcome(twice["id"])
    assert (retried["status"], retried["stdout"]["text"]) == ("succeeded", "done\n")
    assert retried["attempt"] == 2
    wait_until(lambda: not _containers(engine, own_stack), 20, "leftovers to be removed")


def test_a_worker_with_lower_ceilings_rejects_what_the_api_accepted(own_stack: Stack) -> None:
    own_stack.start("api", "control", "beat")
    own_stack.start("run", ceiling_memory_mb="64")
    own_stack.wait_ready()
    execution = own_stack.client("modest").run("pass", execution_limits={"max_memory_mb": 128})
    assert (execution["status"], execution["reason"]) == ("rejected", "policy_violation")
    assert "above the operator's ceiling of 64" in execution["message"]
    assert execution["started_at"] is None


def test_a_sandbox_that_never_starts_is_given_up_with_the_reason(
    own_stack: Stack, engine: docker.DockerClient, sandbox_image: str, tmp_path: Path
) -> None:
    # An image of the operator's catalogue without our supervisor.
    (tmp_path / "Dockerfile").write_text(f"FROM {sandbox_image}\nENV PATH=/nowhere\n")
    broken = f"agentcore/broken:{secrets.token_hex(4)}"
    engine.images.build(path=str(tmp_path), tag=broken, rm=True)
    own_stack.environment["AGENTCORE_SANDBOX_IMAGES"] = f'{{"python": "{broken}"}}'
    own_stack.environment["AGENTCORE_MAX_FAILED_STARTS"] = "2"
    try:
        own_stack.start("api", "run", "control", "beat")
        own_stack.wait_ready()
        api = own_stack.client("hopeless")
        execution = api.run("pass")
    finally:
        engine.images.remove(broken, force=True)
    assert (execution["status"], execution["reason"]) == ("lost", "sandbox_unavailable")
    assert execution["attempt"] == 2
    assert "did not start" in execution["message"]
    kinds = [event["kind"] for event in api.events(execution["id"])["items"]]
    assert kinds.count("start_failed") == 2


def test_a_broker_that_hangs_holds_nobody_up(own_stack: Stack, own_services: Services) -> None:
    own_stack.start("api", "run", "control", "beat")
    own_stack.wait_ready()
    api = own_stack.client("hanging")
    assert own_services.valkey is not None
    handle = own_services.valkey.handle()
    assert handle is not None
    os.kill(handle.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        accepted = [api.submit("pass") for _ in range(60)]
        assert api.get("/v1/profiles").status_code == 200
        # Not a benchmark: each call that waited for the broker would take seconds.
        assert time.monotonic() - started < 20
        # A scrape is given up after ten seconds, and a balancer is told of the database alone.
        metrics = httpx.get(f"{own_stack.url}/metrics", timeout=10).text
        assert 'agentcore_ready{part="broker"} 0.0' in metrics
        only = httpx.get(f"{own_stack.url}/health/ready?only=api", timeout=10)
        assert (only.status_code, only.json()["broker"]) == (200, "not asked")
    finally:
        os.kill(handle.pid, signal.SIGCONT)
    for item in accepted:
        assert api.outcome(item["id"], timeout=100)["status"] == "succeeded"


def test_a_sandbox_that_is_killed_from_outside_is_an_outcome(
    stack: Stack, api: Api, engine: docker.DockerClient
) -> None:
    accepted = api.submit("import time; time.sleep(60)")
    api.wait_started(accepted["id"])
    engine.containers.get(f"agentcore-{accepted['id']}-1").kill()
    execution = api.outcome(accepted["id"])
    assert (execution["status"], execution["reason"]) == ("failed", "sandbox_error")


def test_a_cancel_that_no_worker_hears_is_found_by_the_heartbeat(stack: Stack, api: Api) -> None:
    accepted = api.submit("import time; time.sleep(60)")
    api.wait_started(accepted["id"])
    with psycopg.connect(stack.owner_url) as connection:
        connection.execute(
            "UPDATE executions SET cancel_requested_at = now() WHERE id = %s", (accepted["id"],)
        )
    assert api.outcome(accepted["id"], timeout=10)["status"] == "cancelled"


def test_a_container_of_nobody_is_swept_and_a_strangers_is_not(
    stack: Stack, api: Api, engine: docker.DockerClient, sandbox_image: str
) -> None:
    def make(**labels: str) -> docker.models.containers.Container:
        return engine.containers.create(
            sandbox_image, network_mode="none", stdin_open=True, labels=labels
        )

    stranger = make(purpose="somebody else's")
    leftover = make(
        **{
            "dev.agentcore.deployment": stack.environment["AGENTCORE_DEPLOYMENT"],
            "dev.agentcore.execution": "00000000-0000-4000-8000-000000000000",
            "dev.agentcore.attempt": "1",
            "dev.agentcore.deadline": str(int(time.time()) + 3600),
        }
    )
    try:

        def is_gone() -> bool:
            try:
                engine.containers.get(leftover.id)
            except docker.errors.NotFound:
                return True
            return False

        wait_until(is_gone, 20, "the leftover to be swept")
        assert engine.containers.get(stranger.id).id == stranger.id
    finally:
        stranger.remove(force=True)
