"""`agentcore.run`: another service sends a task and gets the result."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from celery import Celery

from tests.harness import ROOT, Api, Stack, wait_until


@pytest.fixture(scope="module")
def service(stack: Stack) -> Iterator[Celery]:
    """Another service's Celery application: it knows the broker and nothing of our code."""
    stack.new_key("celery-tenant")
    url = stack.environment["AGENTCORE_BROKER_URL"]
    app = Celery("another-service", broker=url, backend=url)
    yield app
    app.close()


def _send(service: Celery, request: object, tenant: object = "celery-tenant", **options: object):  # type: ignore[no-untyped-def]
    return service.send_task(
        "agentcore.run",
        args=[request],
        kwargs={"tenant": tenant},
        queue="agentcore.control",
        **options,
    )


def test_run_returns_the_result_as_a_dict(stack: Stack, service: Celery) -> None:
    task = _send(service, {"source": "print('from celery')"})
    result = task.get(timeout=30)
    assert result["id"] == task.id
    assert result["status"] == "succeeded"
    assert result["stdout"]["text"] == "from celery\n"
    # The same id over REST, for the same tenant.
    assert stack.client("celery-tenant").get(f"/v1/executions/{task.id}").status_code == 200


def test_a_failed_program_is_a_result_not_an_exception(service: Celery) -> None:
    result = _send(service, {"source": "1/0"}).get(timeout=30)
    assert (result["status"], result["reason"]) == ("failed", "exit_nonzero")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"source": "1", "image": "nothing"}, "image: not in the catalogue"),
        ({"source": "1", "priority": 99}, "priority: Input should be less than or equal to 9"),
        ({}, "give exactly one of source, command and agent"),
        ("not an object", "request: "),
    ],
)
def test_a_refused_request_raises_at_the_caller(
    service: Celery, request_: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _send(service, request_).get(timeout=30)


POISON = [
    (b'{"a": 1}', {"task": "agentcore.execute", "id": "poison"}),
    (b"[1, 2]", {"task": "agentcore.execute", "id": "poison"}),
    (b'[["x"], {}]', {"task": "agentcore.run", "id": "poison"}),
    (b"null", {"task": "agentcore.run", "id": None}),
    (b"[[], {}, {}]", {"task": "agentcore.run"}),
    (b"not json", {"task": "agentcore.execute", "id": "poison"}),
    (b'[["S3CRET-CODE"], {}, {}]', {"task": "agentcore.runn", "id": "poison"}),
    (b'{"task": "agentcore.run", "secret": "S3CRET-CODE"}', {}),
    (b"[]", {"task": 5, "id": 7}),
    (b"[[], {}, {}]", {"task": ["agentcore.run"], "id": "poison"}),
    (b"[[], {}, {}]", {"task": {"a": 1}, "id": "poison"}),
]


TASKS = {"agentcore": "agentcore.execute", "agentcore.control": "agentcore.run"}
WEDGES: list[tuple[str, dict[str, object]]] = [
    ("[1, 2, 3]", {}),
    ('[[], {}, {"callbacks": [1], "errbacks": [1], "chain": [3], "chord": {"a": 1}}]', {}),
    ('[[], {}, {"chain": [3]}]', {}),
    ("[[], {}, 7]", {}),
    ('[["x"], {}]', {"id": None}),
    ('[["x"], {}, {}]', {"id": 5}),
    ('[["x"], {}, {}]', {"eta": "2999-01-01T00:00:00+00:00"}),
    ('[["x"], {}, {}]', {"expires": "never"}),
    ('[["x"], {}, {}]', {"timelimit": 5}),
    ('[["x"], {}, {}]', {"retries": "x", "group": 5}),
]


@pytest.mark.parametrize("queue", ["agentcore", "agentcore.control"])
def test_no_message_keeps_a_place_in_a_worker_for_ever(
    stack: Stack, service: Celery, api: Api, queue: str
) -> None:
    with service.producer_pool.acquire() as producer:
        for body, headers in WEDGES * 2:
            whole = {
                "task": TASKS[queue],
                "id": str(uuid.uuid4()),
                "lang": "py",
                "argsrepr": "()",
                "kwargsrepr": "{}",
                "root_id": None,
                "parent_id": None,
                "group": None,
                **headers,
            }
            producer.publish(
                body,
                routing_key=queue,
                headers=whole,
                content_type="application/json",
                content_encoding="utf-8",
                correlation_id=whole["id"],
            )
    assert _send(service, {"source": "print('alive')"}).get(timeout=30)["status"] == "succeeded"
    assert api.run("pass")["status"] == "succeeded"
    for name in ("run", "control"):
        assert stack.processes[name].poll() is None


def test_an_id_that_comes_again_for_something_else_keeps_its_first_answer(
    stack: Stack, service: Celery
) -> None:
    first = _send(service, {"source": "import time; time.sleep(2); print('first')"})
    tenant = stack.client("celery-tenant")
    wait_until(lambda: tenant.get(f"/v1/executions/{first.id}").is_success, 30, "the first")
    _send(service, {"source": "print('second')"}, task_id=first.id)
    assert first.get(timeout=30)["stdout"]["text"] == "first\n"


def test_a_revoke_that_outruns_its_task_still_cancels(service: Celery) -> None:
    task = _send(service, {"source": "import time; time.sleep(60)"})
    task.revoke()
    assert task.get(timeout=30)["status"] == "cancelled"


@pytest.mark.parametrize("queue", ["agentcore", "agentcore.control"])
def test_no_message_ends_a_worker_or_is_logged(
    stack: Stack, service: Celery, api: Api, queue: str
) -> None:
    with service.producer_pool.acquire() as producer:
        for body, headers in POISON:
            producer.publish(
                body,
                routing_key=queue,
                headers=headers,
                content_type="application/json",
                content_encoding="utf-8",
            )
    assert _send(service, {"source": "print('alive')"}).get(timeout=30)["status"] == "succeeded"
    assert api.run("pass")["status"] == "succeeded"
    for name in ("run", "control"):
        assert stack.processes[name].poll() is None
        assert "S3CRET-CODE" not in stack.log(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tenant": 5}, "tenant: must be a tenant's name"),
        ({"tenant": "a\x00b"}, "tenant: must be a tenant's name"),
        ({"task_id": "not-a-uuid"}, "task id: must be a UUID"),
        ({"task_id": "6F9619FF-8B86-D011-B42D-00CF4FC964FF"}, "lower case with dashes"),
    ],
)
def test_bad_names_and_ids_are_refused_in_words(
    service: Celery, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _send(service, {"source": "1"}, **options).get(timeout=30)


def test_an_unknown_tenant_is_refused(service: Celery) -> None:
    with pytest.raises(ValueError, match="no tenant 'nobody'"):
        _send(service, {"source": "1"}, tenant="nobody").get(timeout=30)


def test_a_message_that_comes_twice_runs_once(stack: Stack, service: Celery) -> None:
    task_id = str(uuid.uuid4())
    first = _send(service, {"source": "print('once')"}, task_id=task_id)
    second = _send(service, {"source": "print('once')"}, task_id=task_id)
    assert first.get(timeout=30) == second.get(timeout=30)
    execution = stack.client("celery-tenant").outcome(task_id)
    assert execution["attempt"] == 1


def test_a_duplicate_execute_message_finds_nothing_to_claim(
    stack: Stack, service: Celery, api: Api
) -> None:
    execution = api.run("print('one start')")
    service.send_task("agentcore.execute", args=[execution["id"]], queue="agentcore")
    # A later execution passed through the same queue: the duplicate has been handled.
    api.run("pass")
    again = api.get(f"/v1/executions/{execution['id']}").json()
    assert again == execution


def test_the_execute_message_carries_the_id_alone(stack: Stack, service: Celery) -> None:
    code = (
        "from worker import app as worker_app\n"
        "import uuid\n"
        "sent = []\n"
        "worker_app.app.send_task = lambda *a, **k: sent.append((a, k))\n"
        "i = uuid.uuid4()\n"
        "assert worker_app.send_execute(i, 9)\n"
        "(args, kwargs), = sent\n"
        "print(kwargs['args'] == [str(i)] and kwargs['task_id'] == str(i), kwargs['priority'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=stack.environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    # On the Redis transport 0 is the most urgent.
    assert done.stdout.split() == ["True", "0"]


def test_revoking_a_task_cancels_its_execution(stack: Stack, service: Celery) -> None:
    api = stack.client("celery-tenant")
    running = _send(service, {"source": "print('begun')\nimport time\ntime.sleep(60)"})
    wait_until(lambda: api.get(f"/v1/executions/{running.id}").status_code == 200, what="accepted")
    api.wait_started(running.id)
    running.revoke(terminate=True)
    result = running.get(timeout=20)
    assert (result["status"], result["reason"]) == ("cancelled", "cancel_requested")
    # Nothing is blocked for those who come after.
    assert _send(service, {"source": "pass"}).get(timeout=30)["status"] == "succeeded"


@pytest.mark.parametrize("more", [{"request": {}}, {"bogus": 1}])
def test_unknown_arguments_are_refused_in_words(service: Celery, more: dict[str, object]) -> None:
    task = service.send_task(
        "agentcore.run", args=[{"source": "pass"}], kwargs=more, queue="agentcore.control"
    )
    with pytest.raises(ValueError, match="nothing else"):
        task.get(timeout=30)


def test_an_id_whose_execution_was_aged_out_is_refused(stack: Stack, service: Celery) -> None:
    task = _send(service, {"source": "print(1)"})
    task.get(timeout=30)
    with psycopg.connect(stack.owner_url) as owner:  # what retention leaves: the trail alone
        owner.execute("ALTER TABLE executions DISABLE TRIGGER USER")
        owner.execute("DELETE FROM executions WHERE id = %s", [task.id])
        owner.execute("ALTER TABLE executions ENABLE TRIGGER USER")
    with pytest.raises(ValueError, match="used before"):
        _send(service, {"source": "print(1)"}, task_id=_forgotten(service, task.id)).get(timeout=30)


def _forgotten(service: Celery, task_id: str) -> str:
    service.AsyncResult(task_id).forget()
    return task_id
