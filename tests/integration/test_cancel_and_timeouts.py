"""Cancels at every stage and time limits on unresponsive sandboxes: the container is gone in time.

The times are taken from outside: by the engine's own events, and by the recorded outcome.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from tests.harness import Api, Stack, wait_until
from tests.integration.engine_proxy import EngineProxy
from tests.integration.facts import bare_stack, containers

WITHIN = 1.0  # seconds from a request or a limit to the container's end, as promised
MACHINE = 0.5  # seconds that a busy test machine may take on top
LONG = {"execution_limits": {"max_execution_time_seconds": 120}}
HERE = (  # in one piece: print writes its words one by one
    "import os, time\nos.write(1, f'here {os.environ[\"AGENTCORE_EXECUTION_ID\"]}\\n'.encode())\n"
)
FILE = "open('output/kept.txt', 'w').write('kept')\n"
SLEEP = FILE + HERE + "time.sleep(100)"


@pytest.fixture(scope="module")
def watched(
    sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, EngineProxy]]:
    """A stack whose worker's talk with the engine can be followed."""
    directory = tmp_path_factory.mktemp("watched")
    proxy = EngineProxy(directory / "docker.sock")
    with bare_stack(directory, sandbox_image, drain_seconds="0") as (stack, _):
        stack.environment["DOCKER_HOST"] = proxy.url
        stack.start("api", "run", "control", "beat")
        stack.wait_ready()
        yield stack, proxy
    proxy.close()


@pytest.fixture
def stack(watched: tuple[Stack, EngineProxy]) -> Stack:
    """The stack alone."""
    watched[0].wait_ready()
    return watched[0]


@pytest.fixture(scope="module")
def tenant(watched: tuple[Stack, EngineProxy]) -> Api:
    """A tenant's client."""
    return watched[0].client("cancelling")


@pytest.fixture
def start(watched: tuple[Stack, EngineProxy], tenant: Api) -> Callable[..., str]:
    """Returns a function that submits, and waits for the program's first line."""

    def go(source: str = SLEEP, **fields: object) -> str:
        execution_id: str = tenant.submit(source, **(LONG | fields))["id"]
        line = f"here {execution_id}\n"
        wait_until(lambda: watched[1].passed(line), 30, "the program's first line")
        return execution_id

    return go


def _cancel(api: Api, execution_id: str) -> None:
    answer = api.post(f"/v1/executions/{execution_id}/cancel")
    assert answer.status_code == 202, answer.text


def _assert_gone_in_time(
    engine: docker.DockerClient, stack: Stack, execution_id: str, since: float
) -> None:
    """`since` is on the monotonic clock."""
    wait_until(lambda: not containers(engine, stack, execution_id), 30, "the container's end")
    assert time.monotonic() - since < WITHIN + MACHINE


def _container(engine: docker.DockerClient, execution_id: str) -> Any:
    return engine.containers.get(f"agentcore-{execution_id}-1")


def _freeze(engine: docker.DockerClient, execution_id: str) -> None:
    _container(engine, execution_id).pause()


def _stop_supervisor(engine: docker.DockerClient, execution_id: str) -> None:
    os.kill(_container(engine, execution_id).attrs["State"]["Pid"], signal.SIGSTOP)


def _nothing(_engine: docker.DockerClient, _execution_id: str) -> None:
    return


FAULTS = [_nothing, _freeze, _stop_supervisor]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cancel_ends_the_container_within_a_second_and_keeps_the_output(  # type: ignore[no-untyped-def]
    stack: Stack, tenant: Api, engine: docker.DockerClient, start, fault
) -> None:
    running = start()
    fault(engine, running)
    asked = time.monotonic()
    _cancel(tenant, running)
    _assert_gone_in_time(engine, stack, running, asked)
    execution = tenant.outcome(running, timeout=2)
    assert (execution["status"], execution["reason"]) == ("cancelled", "cancel_requested")
    assert execution["stdout"]["text"] == f"here {running}\n"
    kept = [item["path"] for item in execution["artifacts"]]
    assert kept == (["kept.txt"] if fault is _nothing else [])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_time_limit_ends_the_container_within_a_second_and_keeps_the_output(  # type: ignore[no-untyped-def]
    stack: Stack, tenant: Api, engine: docker.DockerClient, start, fault
) -> None:
    limit = 3
    running = start(execution_limits={"max_execution_time_seconds": limit})
    started = time.monotonic()  # a little late, which the machine's share covers
    fault(engine, running)
    _assert_gone_in_time(engine, stack, running, started + limit)
    execution = tenant.outcome(running, timeout=2)
    assert (execution["status"], execution["reason"]) == ("timed_out", "time_limit")
    assert execution["stdout"]["text"] == f"here {running}\n"
    kept = [item["path"] for item in execution["artifacts"]]
    assert kept == (["kept.txt"] if fault is _nothing else [])


def test_a_program_that_takes_all_it_may_is_ended_in_time_with_its_artifacts(  # type: ignore[no-untyped-def]
    stack: Stack, tenant: Api, engine: docker.DockerClient, start
) -> None:
    # As many busy processes as it may have, on half a processor that the supervisor shares.
    busy = FILE + HERE + "for _ in range(3): os.fork()\nwhile True: pass"
    running = start(busy, execution_limits={"max_execution_time_seconds": 3})
    started = time.monotonic()
    _assert_gone_in_time(engine, stack, running, started + 3)
    execution = tenant.outcome(running, timeout=2)
    assert (execution["status"], execution["stdout"]["text"]) == ("timed_out", f"here {running}\n")
    assert [item["path"] for item in execution["artifacts"]] == ["kept.txt"]


def test_a_queued_execution_is_cancelled_at_once(stack: Stack, tenant: Api) -> None:
    stack.stop("run")
    try:
        waiting = tenant.submit("print('never')")["id"]
        _cancel(tenant, waiting)
        execution = tenant.outcome(waiting, timeout=1)
    finally:
        stack.start("run")
    assert (execution["status"], execution["started_at"]) == ("cancelled", None)
    again = tenant.post(f"/v1/executions/{waiting}/cancel")
    assert (again.status_code, again.json()["execution_status"]) == (409, "cancelled")


@pytest.mark.parametrize("stage", ["containers/create", "/start", "/json"])
def test_a_cancel_while_the_sandbox_starts_ends_it_unused(
    watched: tuple[Stack, EngineProxy],
    stack: Stack,
    tenant: Api,
    engine: docker.DockerClient,
    stage: str,
) -> None:
    proxy = watched[1]
    proxy.stall_at(stage)
    try:
        starting = tenant.submit(SLEEP, **LONG)["id"]
        wait_until(proxy.is_stalled, 10, "the call")
        _cancel(tenant, starting)
        asked = time.monotonic()
    finally:
        proxy.resume()
    execution = tenant.outcome(starting, timeout=10)
    assert (execution["status"], execution["started_at"]) == ("cancelled", None)
    _assert_gone_in_time(engine, stack, starting, asked)


@pytest.mark.parametrize("delay", [n * 0.04 for n in range(15)])
def test_a_cancel_at_any_moment_holds_or_says_that_it_lost(
    stack: Stack, tenant: Api, engine: docker.DockerClient, delay: float
) -> None:
    accepted = tenant.submit("print('quick')")["id"]
    at = time.monotonic() + delay
    wait_until(lambda: time.monotonic() >= at, 5, "the moment")
    answer = tenant.post(f"/v1/executions/{accepted}/cancel")
    asked = time.monotonic()
    execution = tenant.outcome(accepted, timeout=10)
    if answer.status_code == 409:
        assert answer.json()["execution_status"] == execution["status"] == "succeeded"
    else:
        assert (answer.status_code, execution["status"]) == (202, "cancelled")
    _assert_gone_in_time(engine, stack, accepted, asked)
