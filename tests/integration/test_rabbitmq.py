"""The whole stack on RabbitMQ: what differs from Redis is the broker's URL alone."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import kombu
import pytest
from celery import Celery

from deploy.local.services import start_services
from tests.harness import ROOT, Api, Stack, wait_until
from tests.integration.test_celery_door import POISON
from tests.rabbitmq import RabbitMQ, is_installed

PATIENCE = 2  # seconds that this broker waits for an acknowledgement; half an hour by default
# It looks once a minute, if it is not told otherwise; milliseconds.
LOOK = "[{rabbit, [{channel_tick_interval, 500}]}]."
CANCEL_SECONDS = 2.0  # far below the heartbeat of this stack: only the broadcast is that fast


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """An empty RabbitMQ that a test may stop."""
    if not is_installed():
        pytest.skip("no RabbitMQ ('apt-get install rabbitmq-server'); its tests are left out")
    broker = RabbitMQ(
        tmp_path_factory.mktemp("rabbitmq"),
        f"consumer_timeout = {PATIENCE * 1000}",
        advanced=LOOK,
    )
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="module")
def on_rabbit(
    rabbit: RabbitMQ, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The whole stack on it; Valkey holds the results of agentcore.run and nothing else."""
    services = start_services(tmp_path_factory.mktemp("services"), durable=False)
    assert services.valkey is not None
    stack = Stack(
        services,
        tmp_path_factory.mktemp("stack"),
        image=sandbox_image,
        broker_url=rabbit.url,
        result_backend_url=services.valkey.url,
        heartbeat_seconds="5",
        lease_seconds="20",
        resend_seconds="6",
    )
    try:
        stack.migrate()
        stack.start("api", "run", "control", "beat")
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()
        services.stop()


@pytest.fixture(scope="module")
def tenant(on_rabbit: Stack) -> Api:
    """A client of the stack."""
    return on_rabbit.client("rabbit")


@pytest.fixture(scope="module")
def service(on_rabbit: Stack, tenant: Api) -> Iterator[Celery]:
    """Another service's Celery application: it knows two addresses and nothing of our code."""
    app = Celery(
        "another-service",
        broker=on_rabbit.environment["AGENTCORE_BROKER_URL"],
        backend=on_rabbit.environment["AGENTCORE_RESULT_BACKEND_URL"],
    )
    yield app
    app.close()


def _run(service: Celery, source: str) -> dict[str, Any]:
    task = service.send_task(
        "agentcore.run",
        args=[{"source": source}],
        kwargs={"tenant": "rabbit"},
        queue="agentcore.control",
    )
    result: dict[str, Any] = task.get(timeout=30)
    return result


def _broker(stack: Stack) -> str:
    return str(httpx.get(f"{stack.url}/health/ready", timeout=20).json()["broker"])


def test_a_submitted_program_runs(tenant: Api) -> None:
    execution = tenant.run("print('over AMQP')")
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "over AMQP\n")


def test_a_task_of_another_service_gets_its_result(service: Celery) -> None:
    result = _run(service, "print('from celery')")
    assert (result["status"], result["stdout"]["text"]) == ("succeeded", "from celery\n")


def test_a_cancel_reaches_the_worker_by_broadcast(tenant: Api) -> None:
    accepted = tenant.submit("import time; print('begun', flush=True); time.sleep(60)")
    tenant.wait_started(accepted["id"])
    asked = time.monotonic()
    assert tenant.post(f"/v1/executions/{accepted['id']}/cancel").is_success
    execution = tenant.outcome(accepted["id"])
    assert execution["status"] == "cancelled"
    assert time.monotonic() - asked < CANCEL_SECONDS


def test_no_message_ends_a_worker(on_rabbit: Stack, service: Celery, tenant: Api) -> None:
    with service.producer_pool.acquire() as producer:
        for queue in ("agentcore", "agentcore.control"):
            for body, headers in POISON:
                producer.publish(
                    body,
                    routing_key=queue,
                    headers=headers,
                    content_type="application/json",
                    content_encoding="utf-8",
                )
    assert _run(service, "print('alive')")["status"] == "succeeded"
    assert tenant.run("pass")["status"] == "succeeded"
    for name in ("run", "control"):
        assert on_rabbit.processes[name].poll() is None
        assert "S3CRET-CODE" not in on_rabbit.log(name)


def test_a_run_longer_than_the_brokers_patience_ends_once(
    on_rabbit: Stack, rabbit: RabbitMQ, tenant: Api
) -> None:
    lost = rabbit.log.count("timed out")
    accepted = tenant.submit(f"import time; time.sleep({PATIENCE + 6}); print('late')")
    wait_until(lambda: rabbit.log.count("timed out") > lost, 20, "the broker's patience to end")
    assert tenant.get(f"/v1/executions/{accepted['id']}").json()["status"] == "running"
    execution = tenant.outcome(accepted["id"])
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "late\n")
    assert execution["attempt"] == 1
    assert tenant.run("pass")["status"] == "succeeded"
    assert on_rabbit.processes["run"].poll() is None


def test_readiness_tells_a_refusal_from_an_absence(on_rabbit: Stack, rabbit: RabbitMQ) -> None:
    ask = "from api.readiness import _broker; print(_broker())"
    answers = [
        subprocess.run(
            [sys.executable, "-c", ask],
            cwd=ROOT, env=on_rabbit.environment | {"AGENTCORE_BROKER_URL": url}, check=True,
            capture_output=True, text=True, timeout=60,
        ).stdout.strip()
        for url in (f"{rabbit.url}nowhere", "amqp://127.0.0.1:1//")
    ]  # fmt: skip
    assert answers == [
        "the broker refuses the user, its password or its virtual host",
        "the broker does not answer",
    ]


def test_without_the_broker_submits_are_accepted_and_run_later(
    on_rabbit: Stack, rabbit: RabbitMQ, tenant: Api, service: Celery
) -> None:
    on_rabbit.wait_ready()
    running = tenant.submit("import time; time.sleep(3); print('went on')")
    doomed = tenant.submit("import time; time.sleep(60)")
    tenant.wait_started(running["id"])
    tenant.wait_started(doomed["id"])
    rabbit.stop()
    started = time.monotonic()
    # The broadcast fails; the heartbeat finds it.
    assert tenant.post(f"/v1/executions/{doomed['id']}/cancel").is_success
    accepted = [tenant.submit(f"print({n})") for n in range(3)]
    assert time.monotonic() - started < 5
    wait_until(lambda: _broker(on_rabbit) == "the broker does not answer", 20, "readiness")
    assert tenant.outcome(running["id"])["stdout"]["text"] == "went on\n"
    assert tenant.outcome(doomed["id"])["status"] == "cancelled"
    rabbit.start()
    outcomes = [tenant.outcome(item["id"]) for item in accepted]
    assert [item["stdout"]["text"] for item in outcomes] == ["0\n", "1\n", "2\n"]
    on_rabbit.wait_ready()  # with the processes of before
    assert _run(service, "print('again')")["status"] == "succeeded"


def test_the_most_urgent_message_comes_first(
    on_rabbit: Stack, rabbit: RabbitMQ, tenant: Api
) -> None:
    on_rabbit.stop("run")
    order = {priority: tenant.submit("pass", priority=priority)["id"] for priority in (0, 5, 9)}
    with kombu.Connection(rabbit.url) as connection:
        channel = connection.default_channel
        wait_until(
            lambda: channel.queue_declare("agentcore", passive=True).message_count >= len(order),
            10, "the messages",
        )  # fmt: skip
        taken = [item.headers["id"] for item in iter(lambda: channel.basic_get("agentcore"), None)]
    # Closed without an acknowledgement: they are in the queue again. A message of before may be,
    # too: one whose acknowledgement was under way when the worker ended.
    assert [item for item in taken if item in order.values()] == [order[9], order[5], order[0]]
    on_rabbit.start("run", worker_slots="1")
    ended = [tenant.outcome(order[priority]) for priority in (9, 5, 0)]
    assert [item["status"] for item in ended] == ["succeeded"] * 3
    assert [item["started_at"] for item in ended] == sorted(item["started_at"] for item in ended)
