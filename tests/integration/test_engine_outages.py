"""A container engine that hangs, breaks connections or restarts: retried, or ended with a reason.

The tests own a proxy before the engine; the engine itself serves others and is left alone.
"""

import time
from collections.abc import Callable, Iterator

import docker
import httpx
import pytest

from tests.harness import Api, Stack, wait_until
from tests.integration.engine_proxy import EngineProxy
from tests.integration.facts import ask, bare_stack, column, containers

ENGINE_TIMEOUT = 3  # seconds, the setting of these tests
LONG = {"execution_limits": {"max_execution_time_seconds": 120}}
HERE = (  # in one piece: print writes its words one by one
    "import os, time\nos.write(1, f'here {os.environ[\"AGENTCORE_EXECUTION_ID\"]}\\n'.encode())\n"
)
SLEEP = HERE + "time.sleep(100)"
ENDS = HERE + "time.sleep(4); print('done')"


@pytest.fixture(scope="module")
def behind_proxy(
    proxy: EngineProxy, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack whose worker reaches the engine through the proxy."""
    directory = tmp_path_factory.mktemp("behind")
    settings = {"docker_timeout_seconds": str(ENGINE_TIMEOUT), "drain_seconds": "0"}
    with bare_stack(directory, sandbox_image, **settings) as (stack, _):
        stack.environment["DOCKER_HOST"] = proxy.url
        stack.start("api", "run", "control", "beat")
        stack.wait_ready()
        yield stack


@pytest.fixture
def api(behind_proxy: Stack, proxy: EngineProxy, engine: docker.DockerClient) -> Iterator[Api]:
    """A tenant's client; afterwards everything works again, in the same worker."""
    behind_proxy.wait_ready()
    with behind_proxy.client("outages") as client:
        yield client
        proxy.resume()
        behind_proxy.wait_ready()
        assert client.run("print('again')")["stdout"]["text"] == "again\n"
    wait_until(lambda: not containers(engine, behind_proxy), 30, "the leftovers to be swept")


def _started(api: Api, proxy: EngineProxy, source: str = SLEEP, **fields: object) -> str:
    """Submit, and wait until the program's first line has reached the worker."""
    execution_id: str = api.submit(source, **(LONG | fields))["id"]
    wait_until(lambda: proxy.passed(_here(execution_id)), 30, "the program's first line")
    return execution_id


def _here(execution_id: str) -> str:
    return f"here {execution_id}\n"


def _cancel(api: Api, execution_id: str) -> None:
    assert api.post(f"/v1/executions/{execution_id}/cancel").status_code == 202


def _heartbeat_age(stack: Stack) -> float:
    query = """SELECT extract(epoch FROM now() - heartbeat_at) FROM worker_heartbeats
               WHERE worker_id LIKE %s"""
    return float(ask(stack, query, f"%:{stack.processes['run'].pid}")[0])


def _readiness(stack: Stack) -> str:
    return str(httpx.get(f"{stack.url}/health/ready", timeout=20).json()["workers"])


def test_a_time_limit_holds_while_the_engine_hangs(
    behind_proxy: Stack, proxy: EngineProxy, api: Api
) -> None:
    running = _started(api, proxy, execution_limits={"max_execution_time_seconds": 3})
    proxy.stall()
    execution = api.outcome(running, timeout=3 + 2 * ENGINE_TIMEOUT + 2)
    assert (execution["status"], execution["attempt"]) == ("timed_out", 1)
    assert execution["stdout"]["text"] == _here(running)
    assert _heartbeat_age(behind_proxy) < 4  # the lease
    wait_until(lambda: "does not answer" in _readiness(behind_proxy), 20, "readiness to tell")
    assert "engine_unavailable" in behind_proxy.log("run")


def test_a_cancel_is_heard_while_the_engine_hangs(proxy: EngineProxy, api: Api) -> None:
    running = _started(api, proxy)
    proxy.stall()
    _cancel(api, running)
    execution = api.outcome(running, timeout=2 * ENGINE_TIMEOUT + 3)
    assert (execution["status"], execution["stdout"]["text"]) == ("cancelled", _here(running))


def test_a_start_that_hangs_is_tried_again_and_costs_nothing(
    behind_proxy: Stack, proxy: EngineProxy, api: Api
) -> None:
    proxy.stall()
    accepted = api.submit("print('in the end')")
    wait_until(
        lambda: any(item["kind"] == "start_failed" for item in api.events(accepted["id"])["items"]),
        2 * ENGINE_TIMEOUT + 5, "a failed start",
    )  # fmt: skip
    assert column(behind_proxy, "failed_starts", accepted["id"]) == 0
    proxy.resume()
    execution = api.outcome(accepted["id"])
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "in the end\n")
    assert column(behind_proxy, "user_starts", accepted["id"]) == 1


def test_a_cancel_during_a_start_that_hangs_ends_it_unused(proxy: EngineProxy, api: Api) -> None:
    proxy.stall()
    accepted = api.submit("print('never')")
    api.wait_status(accepted["id"], "running")
    _cancel(api, accepted["id"])
    execution = api.outcome(accepted["id"], timeout=2 * ENGINE_TIMEOUT + 3)
    assert (execution["status"], execution["started_at"]) == ("cancelled", None)


def _cut(proxy: EngineProxy) -> None:
    proxy.cut()


def _restart(proxy: EngineProxy) -> None:
    proxy.refuse()
    back_at = time.monotonic() + 2  # seconds; no event tells how long an engine is away
    wait_until(lambda: time.monotonic() > back_at, 5, "the engine's return")
    proxy.resume()


@pytest.mark.parametrize("fault", [_cut, _restart])
def test_a_broken_connection_is_retried_where_allowed_and_else_told(
    proxy: EngineProxy, api: Api, fault: Callable[[EngineProxy], None]
) -> None:
    once, twice = _started(api, proxy), _started(api, proxy, ENDS, max_attempts=2)
    fault(proxy)
    lost = api.outcome(once, timeout=20)
    assert (lost["status"], lost["reason"]) == ("lost", "sandbox_error")
    assert "engine" in lost["message"]
    assert lost["stdout"]["text"] == _here(once)
    assert lost["isolation"]["inside"]
    retried = api.outcome(twice, timeout=40)
    assert (retried["status"], retried["attempt"]) == ("succeeded", 2)
    assert retried["stdout"]["text"] == _here(twice) + "done\n"
    assert "handed_back" in [item["kind"] for item in api.events(twice)["items"]]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        # The engine's own words when a container ends just as it goes to kill it.
        (500, "Could not kill running container, cannot remove - Container is not running"),
        (409, "removal of container is already in progress"),
    ],
)
def test_a_removal_that_meets_the_containers_own_end_is_repeated(
    behind_proxy: Stack,
    proxy: EngineProxy,
    api: Api,
    engine: docker.DockerClient,
    status: int,
    message: str,
) -> None:
    log = behind_proxy.directory / "run.log"
    said = len(log.read_text())
    proxy.fail_once("DELETE ", status, message)
    assert api.run("print('done')")["status"] == "succeeded"
    # Beside the recording of the outcome; that it was not the sweep, the log tells.
    wait_until(lambda: not containers(engine, behind_proxy), 20, "the removal")
    told = log.read_text()[said:]
    assert "container_swept" not in told
    assert "container_not_removed" not in told
