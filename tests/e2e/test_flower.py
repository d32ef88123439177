"""Flower shows executions under their own ids, to those with its password, and no code."""

from collections.abc import Iterator

import httpx
import pytest
from celery import Celery

from tests.harness import Api, Stack, free_port, wait_until

PASSWORD = "generated-for-this-test"


@pytest.fixture(scope="module")
def flower(stack: Stack) -> Iterator[str]:
    port = free_port()
    stack.start("flower", flower_port=str(port), flower_user="viewer", flower_password=PASSWORD)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/healthcheck").status_code == 200
        except httpx.HTTPError:
            return False

    wait_until(answers, 30, "Flower")
    yield url
    stack.stop("flower")


def test_without_the_password_there_is_nothing(flower: str) -> None:
    assert httpx.get(f"{flower}/api/tasks").status_code == 401
    assert httpx.get(f"{flower}/api/tasks", auth=("viewer", "wrong")).status_code == 401


def test_a_finished_execution_is_shown_under_its_id_without_its_code(flower: str, api: Api) -> None:
    # Flower sees what happens from its start on; ask until one execution was early enough.
    def task() -> dict[str, object] | None:
        execution = api.run("print('visible-nowhere')")
        tasks = httpx.get(f"{flower}/api/tasks", auth=("viewer", PASSWORD)).json()
        return tasks.get(execution["id"])

    shown = wait_until(task, 30, "the task in Flower")
    assert shown["name"] == "agentcore.execute"
    everything = httpx.get(f"{flower}/api/tasks", auth=("viewer", PASSWORD)).text
    assert "visible-nowhere" not in everything


def test_flower_does_not_show_the_brokers_password(flower: str, stack: Stack) -> None:
    secret = stack.environment["AGENTCORE_BROKER_URL"].split("@")[0].split(":")[-1]
    assert len(secret) > 20

    def workers() -> str:
        answer = httpx.get(
            f"{flower}/api/workers",
            params={"refresh": "1"},
            auth=("viewer", PASSWORD),
            timeout=30,
        )
        return answer.text if "stats" in answer.text else ""

    shown = wait_until(workers, 30, "the workers in Flower")
    assert secret not in shown
    for page in ("/", "/tasks", "/broker", "/workers"):
        text = httpx.get(f"{flower}{page}", auth=("viewer", PASSWORD), timeout=30).text
        assert secret not in text, page


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/send-task/agentcore.run",
        "/api/task/apply/agentcore.run",
        "/api/task/async-apply/agentcore.run",
        "/api/task/abort/x",
        "/api/task/revoke/x",
        "/api/task/timeout/agentcore.run",
        "/api/task/rate-limit/agentcore.run",
        "/api/worker/shutdown/x",
        "/api/worker/pool/restart/x",
        "/api/worker/pool/grow/x",
        "/api/worker/pool/shrink/x",
        "/api/worker/pool/autoscale/x",
        "/api/worker/queue/add-consumer/x",
        "/api/worker/queue/cancel-consumer/x",
    ],
)
def test_whoever_may_look_can_change_nothing(flower: str, path: str) -> None:
    answer = httpx.post(f"{flower}{path}", auth=("viewer", PASSWORD), json={"args": []})
    assert answer.status_code == 403
    assert "Read only" in answer.text


def test_what_a_program_wrote_is_not_shown(flower: str, stack: Stack) -> None:
    stack.new_key("seen-by-flower")
    url = stack.environment["AGENTCORE_BROKER_URL"]
    with Celery(broker=url, backend=url) as service:
        task = service.send_task(
            "agentcore.run",
            args=[{"source": "print('visible-' 'to-its-tenant')"}],
            kwargs={"tenant": "seen-by-flower"},
            queue="agentcore.control",
        )
        assert "visible-to-its-tenant" in task.get(timeout=30)["stdout"]["text"]
    for path in (f"/api/task/result/{task.id}", f"/api/task/info/{task.id}", f"/task/{task.id}"):
        answer = httpx.get(f"{flower}{path}", auth=("viewer", PASSWORD))
        assert "visible-to-its-tenant" not in answer.text


def test_its_metrics_are_not_there_for_strangers(flower: str) -> None:
    assert httpx.get(f"{flower}/metrics").status_code in (401, 404)
