"""Cancels at every stage and time limits on unresponsive sandboxes: the container is gone in time.

No time is taken here, where a busy machine delays the look: what counts is when the engine saw the
container end, and when the database recorded the cancel or the start. Both read the host's clock.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import docker
import pytest

from tests.harness import Api, Stack, wait_until
from tests.integration.engine_proxy import EngineProxy
from tests.integration.facts import bare_stack, containers

WITHIN = 1.0  # seconds from a request or a limit to the container's end, as promised
# Seconds that a slow machine may take on top. All waiting on purpose is the 0.5 of
# AGENTCORE_KILL_GRACE_SECONDS; the work beside it takes 0.05 on an idle machine, so that one 15
# times as slow passes, and whoever adds a wait of a second does not.
MACHINE = 0.5
# So that the heartbeat, which would find a cancel as well, is no help.
SELDOM = {"heartbeat_seconds": "20", "lease_seconds": "60"}
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
    with bare_stack(directory, sandbox_image, drain_seconds="0", **SELDOM) as (stack, _):
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


def _cancel(api: Api, execution_id: str) -> dict[str, Any]:
    answer = api.post(f"/v1/executions/{execution_id}/cancel")
    assert answer.status_code == 202, answer.text
    execution: dict[str, Any] = answer.json()
    return execution


def _assert_ended_in_time(
    engine: docker.DockerClient, execution: dict[str, Any], since: str, after: float = 0
) -> None:
    """The container ended soon after `since`, a recorded time, and `after` seconds."""
    due = datetime.fromisoformat(since).timestamp() + after
    ended = _end_of_container(engine, execution["id"])
    assert due < ended < due + WITHIN + MACHINE


def _end_of_container(engine: docker.DockerClient, execution_id: str) -> float:
    """Return when the engine saw the container end, in seconds since the epoch."""
    told = engine.events(
        since=f"{time.time() - 60:.6f}", until=f"{time.time():.6f}", decode=True,
        filters={"event": "die", "container": f"agentcore-{execution_id}-1"},
    )  # fmt: skip
    (end,) = [event["timeNano"] / 1e9 for event in told]
    return float(end)


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
    _cancel(tenant, running)
    execution = tenant.outcome(running)
    assert containers(engine, stack, running) == []
    _assert_ended_in_time(engine, execution, execution["cancel_requested_at"])
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
    fault(engine, running)
    execution = tenant.outcome(running)
    assert containers(engine, stack, running) == []
    # Recorded just before the program starts: the machine's share covers what lies between.
    _assert_ended_in_time(engine, execution, execution["started_at"], limit)
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
    execution = tenant.outcome(running)
    assert containers(engine, stack, running) == []
    _assert_ended_in_time(engine, execution, execution["started_at"], 3)
    assert (execution["status"], execution["stdout"]["text"]) == ("timed_out", f"here {running}\n")
    assert [item["path"] for item in execution["artifacts"]] == ["kept.txt"]


def test_a_queued_execution_is_cancelled_at_once(stack: Stack, tenant: Api) -> None:
    stack.stop("run")
    try:
        waiting = tenant.submit("print('never')")["id"]
        execution = _cancel(tenant, waiting)  # its answer: nobody has to be waited for
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
    finally:
        proxy.resume()
    execution = tenant.outcome(starting)
    assert containers(engine, stack, starting) == []
    assert (execution["status"], execution["started_at"]) == ("cancelled", None)


@pytest.mark.parametrize("delay", [n * 0.04 for n in range(15)])
def test_a_cancel_at_any_moment_holds_or_says_that_it_lost(
    stack: Stack, tenant: Api, engine: docker.DockerClient, delay: float
) -> None:
    accepted = tenant.submit("print('quick')")["id"]
    at = time.monotonic() + delay
    wait_until(lambda: time.monotonic() >= at, 5, "the moment")
    answer = tenant.post(f"/v1/executions/{accepted}/cancel")
    execution = tenant.outcome(accepted)
    # Of a program that ended by itself the container is removed beside the recording.
    wait_until(lambda: not containers(engine, stack, accepted), 10, "the container to be gone")
    if answer.status_code == 409:
        assert answer.json()["execution_status"] == execution["status"] == "succeeded"
    else:
        assert (answer.status_code, execution["status"]) == (202, "cancelled")
