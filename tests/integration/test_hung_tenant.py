"""A process that hangs in one tenant's turn: that tenant is told in time, and nobody else waits."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest
from celery import Celery
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from tests.harness import Api, Stack, wait_until
from tests.integration.facts import ask, bare_stack, column

BOUND = 10  # seconds for an answer: far above a turn's two, below the 15 of any statement
WAITERS = 8  # at once: a process of the API has 20 connections, the control process 4 threads
KEY = {"Idempotency-Key": "before"}
BODY = {"source": "print('before')"}
SLEEP = "import time; time.sleep(100)"
LONG = {"execution_limits": {"max_execution_time_seconds": 120}}


@pytest.fixture(scope="module")
def one_each(sandbox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on which each tenant runs one execution at a time."""
    directory = tmp_path_factory.mktemp("turns")
    settings = {"tenant_max_running": "1", "drain_seconds": "0"}
    with bare_stack(directory, sandbox_image, **settings) as (stack, _):
        stack.start("api", "run", "control", "beat")
        stack.wait_ready()
        yield stack


@pytest.fixture(scope="module")
def other(one_each: Stack) -> Api:
    """A tenant that has nothing to do with it."""
    return one_each.client("other")


def _tenant_id(stack: Stack, tenant: str) -> UUID:
    found: UUID = ask(stack, "SELECT id FROM tenants WHERE name = %s", tenant)[0]
    return found


@contextmanager
def _turn_taken(stack: Stack, tenant: str) -> Iterator[None]:
    """Hold a tenant's turn, as a process that hangs in it would, but for as long as the block."""
    engine = create_engine(stack.owner_url)
    try:
        with Session(engine) as session:
            session.execute(text("SELECT take_turn(:id)"), {"id": _tenant_id(stack, tenant)})
            yield
    finally:
        engine.dispose()


def _post(api: Api) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    answer = api.post("/v1/executions", json={"source": "pass"})
    return answer, time.monotonic() - started


def _gave_up(stack: Stack, name: str, tenant: str) -> bool:
    """Whether a process has said that it could not let in this tenant's next execution."""
    of = str(_tenant_id(stack, tenant))
    lines = (stack.directory / f"{name}.log").read_text().splitlines()
    return any("share_not_refilled" in line and of in line for line in lines)


def test_a_submit_whose_turn_hangs_is_refused_in_time_and_others_are_served(
    one_each: Stack, other: Api
) -> None:
    hung = one_each.client("refused")
    before = hung.post("/v1/executions", json=BODY, headers=KEY).json()
    assert hung.outcome(before["id"])["status"] == "succeeded"
    with _turn_taken(one_each, "refused"), ThreadPoolExecutor(WAITERS) as pool:
        waiting = [pool.submit(_post, hung) for _ in range(WAITERS)]
        # Nobody lets go of the turn before all of this is done.
        for number in range(3):
            assert other.run(f"print({number})")["stdout"]["text"] == f"{number}\n"
        for answer, seconds in (item.result() for item in waiting):
            assert (answer.status_code, answer.json()["status"]) == (503, 503)
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            assert seconds < BOUND
        # What needs no turn is answered: the same request again, and what there is to read.
        again = hung.post("/v1/executions", json=BODY, headers=KEY)
        assert (again.status_code, again.json()["id"]) == (202, before["id"])
        assert hung.get(f"/v1/executions/{before['id']}").json()["status"] == "succeeded"
        one_each.wait_ready()
    # None of the refused was accepted after all.
    assert [item["id"] for item in hung.get("/v1/executions").json()["items"]] == [before["id"]]
    assert hung.run("print('after')")["stdout"]["text"] == "after\n"


def test_an_end_is_recorded_though_its_turn_hangs_and_the_sweep_lets_the_next_in(
    one_each: Stack, other: Api
) -> None:
    hung = one_each.client("ending")
    running = hung.submit(SLEEP, **LONG)
    hung.wait_started(running["id"])
    held = hung.submit("print('let in')")
    assert column(one_each, "released", held["id"]) is False
    with _turn_taken(one_each, "ending"):
        assert hung.post(f"/v1/executions/{running['id']}/cancel").status_code == 202
        assert hung.outcome(running["id"], timeout=BOUND)["status"] == "cancelled"
        for name in ("run", "control"):  # the worker that recorded the end, and a sweep
            told = f"{name} to give up its turn"
            wait_until(partial(_gave_up, one_each, name, "ending"), 20, told)
        assert other.run("print('served')")["stdout"]["text"] == "served\n"
        assert column(one_each, "released", held["id"]) is False
    # Nothing of this tenant ends or comes: only the sweep is left to let it in.
    execution = hung.outcome(held["id"])
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "let in\n")
    assert (execution["attempt"], column(one_each, "user_starts", held["id"])) == (1, 1)


def test_a_cancel_of_what_waits_for_a_worker_holds_though_its_turn_hangs(one_each: Stack) -> None:
    hung = one_each.client("waiting")
    one_each.stop("run")
    try:
        waiting, held = hung.submit("print('never')"), hung.submit("print('let in')")
        with _turn_taken(one_each, "waiting"):
            started = time.monotonic()
            answer = hung.post(f"/v1/executions/{waiting['id']}/cancel")
            assert time.monotonic() - started < BOUND
            assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
            assert column(one_each, "released", held["id"]) is False
        wait_until(lambda: column(one_each, "released", held["id"]), 20, "the sweep")
    finally:
        one_each.start("run")
    assert hung.outcome(held["id"])["stdout"]["text"] == "let in\n"
    assert hung.outcome(waiting["id"])["attempt"] == 0


def test_tasks_of_a_tenant_whose_turn_hangs_end_soon_and_others_are_served(
    one_each: Stack, other: Api
) -> None:
    one_each.new_key("calling")
    url = one_each.environment["AGENTCORE_BROKER_URL"]
    with Celery("another-service", broker=url, backend=url) as service:

        def send(tenant: str) -> Any:
            return service.send_task(
                "agentcore.run",
                args=[{"source": "pass"}],
                kwargs={"tenant": tenant},
                queue="agentcore.control",
            )

        with _turn_taken(one_each, "calling"):
            # Twice as many as the control process has threads, which are the sweep's, too.
            blocked = [send("calling") for _ in range(WAITERS)]
            assert send("other").get(timeout=3 * BOUND)["status"] == "succeeded"
            for task in blocked:
                with pytest.raises(ValueError, match="unavailable, not refused; send it again"):
                    task.get(timeout=3 * BOUND)
