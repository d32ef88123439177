"""Each service killed and started again, one after the other, under work: nothing is lost."""

import os
import signal

import httpx
import pytest

from tests.e2e.compose.deployment import Deployment
from tests.harness import Api, wait_until

SERVICES = ("redis", "postgres", "worker", "control", "beat", "api", "flower")
RECOVERY_SECONDS = 120  # a killed worker's lease is 30 s, and what it ran starts again after that
SLEEP = "import time; time.sleep(3); print('done')"


def try_to_submit(api: Api) -> list[str]:
    """Submit one; return its id if it was accepted."""
    try:
        answer = api.post("/v1/executions", json={"source": "print('done')"})
    except httpx.HTTPError:
        return []
    assert answer.status_code in (202, 503), answer.text
    return [answer.json()["id"]] if answer.status_code == 202 else []


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back_and_nothing_is_lost(
    deployment: Deployment, published: Api, service: str
) -> None:
    accepted = [published.submit(SLEEP, max_attempts=3)["id"] for _ in range(3)]
    published.wait_started(accepted[0])
    container = deployment.container(service)
    container.kill()
    wait_until(lambda: deployment.container(service).status == "exited", 30, "its end")
    for _ in range(2):
        accepted += try_to_submit(published)
    container.start()
    deployment.wait_well(service)
    deployment.wait_ready()
    accepted += [published.submit("print('done')")["id"]]
    for execution_id in accepted:
        execution = published.outcome(execution_id, RECOVERY_SECONDS)
        assert execution["status"] == "succeeded", execution
        assert execution["stdout"]["text"] == "done\n"
        trail = published.events(execution_id)
        assert trail["intact"] is True
        ends = [item for item in trail["items"] if item["data"].get("to") == "succeeded"]
        assert len(ends) == 1
    wait_until(lambda: not deployment.busy_sandboxes(), RECOVERY_SECONDS, "the sandboxes' end")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can end a container's process")
def test_a_process_that_dies_is_started_again_by_the_engine(deployment: Deployment) -> None:
    before = deployment.container("beat").attrs
    os.kill(before["State"]["Pid"], signal.SIGKILL)
    wait_until(
        lambda: deployment.container("beat").attrs["RestartCount"] > before["RestartCount"],
        RECOVERY_SECONDS, "another start",
    )  # fmt: skip
    deployment.wait_well("beat")


def test_a_stopped_worker_leaves_no_sandbox_behind(deployment: Deployment) -> None:
    deployment.compose("stop", "worker")
    try:
        assert deployment.sandboxes() == []
        assert deployment.container("worker").attrs["State"]["ExitCode"] == 0
    finally:
        deployment.compose("start", "worker")
    deployment.wait_well("worker")
    deployment.wait_ready()
