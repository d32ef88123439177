"""One tenant's flood: refused at a limit, and nobody else waits behind more than a share of it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from celery import Celery
from psycopg.rows import dict_row
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError

from deploy.local.services import Services, start_services
from models import session as sessions
from models.execution import ExecutionRequest
from models.permissions import EVERYTHING
from models.settings import Settings
from models.status import Status
from models.tables import ExecutionRow
from models.views import load_execution, queued_view
from tests.harness import Api, Stack, wait_until
from worker import claims, doorbell, shares
from worker import submit as submitting
from worker.submit import Caller, TooManyQueuedError

SLOTS = 4  # of the one worker, as tests.harness sets it
FLOOD = """
INSERT INTO executions (id, tenant_id, request_hash, request, security_profile, image,
    network_access, limits, labels, priority, max_attempts, released)
SELECT gen_random_uuid(), tenants.id, '\\x00', '{"source": "pass"}', 'standard', 'python', 'none',
    '{}', '{}', 4, 1, false
FROM tenants, generate_series(1, %s) WHERE name = %s
"""
# Every change of what runs, in order: claims go up, ends and hand-backs go down.
CHANGES = """
SELECT data::jsonb ->> 'to' AS new, data::jsonb ->> 'from' AS old, execution_id AS id,
    recorded_at_us AS at_us
FROM audit_events JOIN executions ON executions.id = execution_id
    JOIN tenants ON tenants.id = tenant_id
WHERE kind = 'status_changed' AND tenants.name = %s ORDER BY recorded_at_us
"""


@pytest.fixture(scope="module")
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    pair = start_services(tmp_path_factory.mktemp("flooded"), durable=False)
    yield pair
    pair.stop()


@pytest.fixture
def start(
    own_services: Services, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Stack]]:
    """Starts a whole stack with the given settings."""
    stacks: list[Stack] = []

    def make(**settings: str) -> Stack:
        directory = tmp_path_factory.mktemp("flooded-stack")
        stacks.append(Stack(own_services, directory, image=sandbox_image, **settings))
        stacks[-1].migrate()
        stacks[-1].start("api", "run", "control", "beat")
        stacks[-1].wait_ready()
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.stop()


def _ask(stack: Stack, statement: str, *values: object) -> list[dict[str, Any]]:
    with psycopg.connect(stack.owner_url, row_factory=dict_row) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else []


def _claims(stack: Stack, tenant: str) -> list[dict[str, Any]]:
    return [item for item in _ask(stack, CHANGES, tenant) if item["new"] == "running"]


def _most_at_once(stack: Stack, tenant: str) -> int:
    running = most = 0
    for change in _ask(stack, CHANGES, tenant):
        running += (change["new"] == "running") - (change["old"] == "running")
        most = max(most, running)
    return most


def _queued(stack: Stack, tenant: str) -> int:
    query = """SELECT count(*) AS n FROM executions JOIN tenants ON tenants.id = tenant_id
        WHERE name = %s AND status = 'queued'"""
    return int(_ask(stack, query, tenant)[0]["n"])


def test_ten_thousand_of_one_tenant_keep_another_waiting_for_a_share_only(
    start: Callable[..., Stack],
) -> None:
    share = 6
    stack = start(tenant_max_running=str(share), tenant_max_queued="9000")
    greedy, modest = stack.client("greedy"), stack.client("modest")
    body, key = {"source": "print('first')"}, {"Idempotency-Key": "first"}
    first = greedy.post("/v1/executions", json=body, headers=key).json()
    _ask(stack, FLOOD, 10_000, "greedy")
    wait_until(lambda: len(_claims(stack, "greedy")) > 2 * share, 60, "the flood to run")

    # The same priority: bounded by the order alone, whatever the time.
    accepted = [modest.submit("pass")["id"] for _ in range(5)]
    assert [modest.outcome(item)["status"] for item in accepted] == ["succeeded"] * 5
    mine = {str(item["id"]): item["at_us"] for item in _claims(stack, "modest")}
    theirs = [item["at_us"] for item in _claims(stack, "greedy")]
    for item in accepted:
        query = "SELECT created_at FROM executions WHERE id = %s"
        since_us = _ask(stack, query, item)[0]["created_at"].timestamp() * 1e6
        before = sum(since_us < other < mine[item] for other in theirs)
        # The share was let in before us; a slot that we got frees no second one for them.
        assert before <= share + SLOTS, (item, before)

    # The lowest priority waits until it is sent again, and not for the whole flood.
    assert modest.run("pass", priority=0)["status"] == "succeeded"
    assert _queued(stack, "greedy") > 9000

    # Too many: refused, with the number and when to come again; what was accepted is answered.
    refused = greedy.post("/v1/executions", json={"source": "pass"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["content-type"] == "application/problem+json"
    assert "9000 of at most 9000" in refused.json()["detail"]
    again = greedy.post("/v1/executions", json=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    url = stack.environment["AGENTCORE_BROKER_URL"]
    with Celery("another-service", broker=url, backend=url) as service:
        task = service.send_task(
            "agentcore.run",
            args=[{"source": "pass"}],
            kwargs={"tenant": "greedy"},
            queue="agentcore.control",
        )
        with pytest.raises(ValueError, match="too many executions are queued"):
            task.get(timeout=30)
    modest.submit("pass")  # nobody else is refused
    _ask(
        stack,
        """UPDATE executions SET status = 'cancelled', reason = 'cancel_requested'
        WHERE status = 'queued'""",
    )


def test_no_tenant_runs_more_than_its_share_and_all_is_run_though_the_worker_dies(
    start: Callable[..., Stack],
) -> None:
    stack = start(tenant_max_running="2")
    api, other = stack.client("many"), stack.client("few")
    accepted = [api.submit(f"print({n})", max_attempts=3) for n in range(30)]
    others = [other.submit("pass", max_attempts=3) for _ in range(4)]
    wait_until(lambda: len(_claims(stack, "many")) >= 6, 60, "some to run")
    os.killpg(stack.processes["run"].pid, signal.SIGKILL)
    stack.processes.pop("run").wait()
    assert _queued(stack, "many") > 2
    stack.start("run-again")
    outcomes = [api.outcome(item["id"], timeout=90) for item in accepted]
    assert [item["stdout"]["text"] for item in outcomes] == [f"{n}\n" for n in range(30)]
    assert {other.outcome(item["id"])["status"] for item in others} == {"succeeded"}
    # Four slots, so that without the limit more would have run.
    assert _most_at_once(stack, "many") == 2
    assert _most_at_once(stack, "few") <= 2


def test_a_share_of_one_runs_one_by_one_by_priority_and_a_cancel_lets_the_next_in(
    start: Callable[..., Stack],
) -> None:
    stack = start(tenant_max_running="1")
    stack.stop("beat")  # no sweep: each end alone lets the next one in
    api: Api = stack.client("one-by-one")
    running = api.submit("import time; time.sleep(60)")
    api.wait_started(running["id"])
    held = [api.submit("pass", priority=priority) for priority in (1, 9, 4, 4)]
    dropped = api.submit("pass", priority=9)
    assert api.post(f"/v1/executions/{dropped['id']}/cancel").json()["status"] == "cancelled"
    states = _ask(
        stack, "SELECT released FROM executions WHERE id = ANY(%s)", [i["id"] for i in held]
    )
    assert [item["released"] for item in states] == [False] * 4
    assert api.post(f"/v1/executions/{running['id']}/cancel").status_code == 202
    outcomes = [api.outcome(item["id"]) for item in held]
    assert [item["status"] for item in outcomes] == ["succeeded"] * 4
    order = sorted(range(4), key=lambda n: outcomes[n]["started_at"])
    assert order == [1, 2, 3, 0]
    assert api.outcome(dropped["id"])["attempt"] == 0
    assert _most_at_once(stack, "one-by-one") == 1


@pytest.fixture
def stack(
    own_services: Services, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Stack:
    """A stack without processes: nothing moves by itself."""
    quiet = Stack(own_services, tmp_path_factory.mktemp("quiet"), image=sandbox_image)
    quiet.migrate()
    return quiet


@pytest.fixture
def caller(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """A new tenant, and this process set up to submit for it."""
    settings = Settings(
        database_url=stack.environment["AGENTCORE_DATABASE_URL"],
        broker_url="redis://unused",
        tenant_max_running=3,
        tenant_max_queued=10,
        resend_seconds=600,
    )
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=20)
    monkeypatch.setattr(sessions, "engine", lambda: engine)
    monkeypatch.setattr(shares, "load_settings", lambda: settings)
    monkeypatch.setattr(submitting, "load_settings", lambda: settings)
    name = f"shares-{uuid4().hex[:8]}"
    tenant = _ask(stack, "INSERT INTO tenants (name) VALUES (%s) RETURNING id", name)[0]["id"]
    yield Caller(tenant_id=tenant, permissions=EVERYTHING)
    _ask(
        stack,
        """UPDATE executions SET status = 'lost', reason = 'worker_lost'
        WHERE tenant_id = %s AND status IN ('queued', 'running')""",
        tenant,
    )
    engine.dispose()


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The ids that workers would be told of, in order."""
    sent: list[UUID] = []
    monkeypatch.setattr(doorbell, "ring", lambda execution_id, _priority: sent.append(execution_id))
    return sent


def _count(stack: Stack, caller: Caller, where: str) -> int:
    query = f"SELECT count(*) AS n FROM executions WHERE tenant_id = %s AND {where}"
    return int(_ask(stack, query, caller.tenant_id)[0]["n"])


def test_submits_at_once_pass_neither_limit(stack: Stack, caller: Caller, rung: list[UUID]) -> None:
    start = threading.Barrier(16)

    def submit(number: int) -> UUID | None:
        start.wait(20)
        try:
            request = ExecutionRequest(source=f"print({number})")
            return submitting.submit(request, caller).id
        except TooManyQueuedError as error:
            assert "too many" in str(error)
            return None

    with ThreadPoolExecutor(16) as pool:
        accepted = [item for item in pool.map(submit, range(16)) if item is not None]
    assert len(accepted) == _count(stack, caller, "status = 'queued'") == 10
    assert len(rung) == _count(stack, caller, "released") == 3


def test_a_held_execution_cannot_be_claimed(stack: Stack, caller: Caller, rung: list[UUID]) -> None:
    ids = [submitting.submit(ExecutionRequest(source="pass"), caller).id for _ in range(4)]
    assert rung == ids[:3]
    assert claims.claim(ids[3], "w", 60) is None
    with pytest.raises(IntegrityError, match="ck_executions_released"), sessions.transaction() as s:
        row = s.get_one(ExecutionRow, ids[3])
        row.status, row.lease_owner, row.lease_expires_at = "running", "w", row.created_at
    first = claims.claim(ids[0], "w", 60)
    assert first is not None
    assert shares.refill(caller.tenant_id) == 0
    assert (
        claims.hand_back(first, "start_failed", "x", counts=True, max_failed_starts=9)
        is Status.QUEUED
    )
    assert rung == ids[:3]
    first = claims.claim(ids[0], "w", 60)
    assert first is not None
    assert (
        claims.hand_back(first, "start_failed", "x", counts=True, max_failed_starts=2)
        is Status.LOST
    )
    assert rung == ids


def test_cancelling_what_waits_for_a_worker_lets_the_next_in(
    stack: Stack, caller: Caller, rung: list[UUID]
) -> None:
    ids = [submitting.submit(ExecutionRequest(source="pass"), caller).id for _ in range(5)]
    submitting.cancel(ids[4], caller)
    assert rung == ids[:3]
    submitting.cancel(ids[0], caller)
    assert rung == ids[:4]


def test_ends_at_once_let_in_as_many_as_left(
    stack: Stack, caller: Caller, rung: list[UUID]
) -> None:
    ids = [submitting.submit(ExecutionRequest(source="pass"), caller).id for _ in range(10)]
    for batch in (ids[:3], ids[3:6], ids[6:9]):
        assert set(rung) >= set(batch)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda item: submitting.cancel(item, caller), batch))
        assert _count(stack, caller, "released AND status = 'queued'") <= 3
    assert sorted(rung) == sorted(ids)


def test_the_sweep_lets_in_what_was_forgotten(
    stack: Stack, caller: Caller, rung: list[UUID]
) -> None:
    _ask(stack, FLOOD.replace("name = %s", "tenants.id = %s"), 5, caller.tenant_id)
    # As when a process died between an end and what it would have let in.
    assert shares.refill_all() == 3
    assert shares.refill_all() == 0
    assert len(set(rung)) == _count(stack, caller, "released") == 3


def test_what_was_inserted_is_what_is_told_of_a_new_execution(caller: Caller) -> None:
    request = ExecutionRequest(source="1", labels={"a": "b"}, priority=7)
    submitted = submitting.submit(request, caller)
    with sessions.autocommit() as session:
        stored = load_execution(session, submitted.id, caller.tenant_id)
    assert queued_view(submitted.row) == stored
