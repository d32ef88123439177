"""The REST API as its clients meet it."""

import asyncio
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.harness import ROOT, Api, Stack, refused_fields


def test_a_submit_is_accepted_with_its_location(api: Api) -> None:
    answer = api.post("/v1/executions", json={"source": "pass", "labels": {"team": "a"}})
    assert answer.status_code == 202
    execution = answer.json()
    assert answer.headers["location"] == f"/v1/executions/{execution['id']}"
    assert execution["labels"] == {"team": "a"}
    assert api.get(answer.headers["location"]).json()["id"] == execution["id"]


def test_the_same_idempotency_key_gives_the_same_execution(api: Api) -> None:
    headers = {"Idempotency-Key": "once-only"}
    first = api.post("/v1/executions", json={"source": "print(1)"}, headers=headers)
    again = api.post("/v1/executions", json={"source": "print(1)"}, headers=headers)
    other = api.post("/v1/executions", json={"source": "print(2)"}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert other.status_code == 409


def test_fifty_parallel_posts_of_one_key_make_one_execution(api: Api) -> None:
    def post(_: int) -> str:
        answer = api.post(
            "/v1/executions", json={"source": "pass"}, headers={"Idempotency-Key": "race"}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(post, range(50)))) == 1


def test_a_key_of_one_tenant_means_nothing_to_another(stack: Stack) -> None:
    one, two = stack.client("keys-one"), stack.client("keys-two")
    headers = {"Idempotency-Key": "shared"}
    first = one.post("/v1/executions", json={"source": "1"}, headers=headers).json()
    second = two.post("/v1/executions", json={"source": "2"}, headers=headers).json()
    assert first["id"] != second["id"]


def test_one_tenant_never_sees_anothers_rows(stack: Stack) -> None:
    owner, stranger = stack.client("owner"), stack.client("stranger")
    execution = owner.run("open('output/secret.txt', 'w').write('secret')")
    owner.put("/v1/agents/mine", json={"source": "pass"})
    path = f"/v1/executions/{execution['id']}"
    for method, target in (
        ("GET", path),
        ("POST", f"{path}/cancel"),
        ("GET", f"{path}/events"),
        ("GET", f"{path}/artifacts"),
        ("GET", f"{path}/artifacts/secret.txt"),
        ("GET", "/v1/agents/mine"),
        ("DELETE", "/v1/agents/mine"),
    ):
        assert stranger.request(method, target).status_code == 404, target
    assert stranger.get("/v1/executions").json()["items"] == []
    assert stranger.get("/v1/agents").json()["items"] == []
    refused = stranger.post("/v1/executions", json={"agent": "mine"})
    assert refused_fields(refused) == {"agent"}


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ac_no", "Basic abc", "Bearer " + "x" * 5000]
)
def test_without_a_valid_key_there_is_nothing(stack: Stack, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.get(f"{stack.url}/v1/executions", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_with_another_secret_is_refused_and_a_revoked_one_too(stack: Stack) -> None:
    client = stack.client("revoking")
    assert client.get("/v1/profiles").status_code == 200
    forged = client.key[:-1] + ("A" if client.key[-1] != "A" else "B")
    answer = client.get("/v1/profiles", headers={"Authorization": f"Bearer {forged}"})
    assert answer.status_code == 401
    subprocess.run(
        [sys.executable, "-m", "api", "keys", "revoke", client.key.split("_")[1]],
        cwd=ROOT, env=stack.environment, check=True, capture_output=True,
    )  # fmt: skip
    assert client.get("/v1/profiles").status_code == 401


def test_what_was_asked_is_not_overruled_by_a_default_of_the_other_group(api: Api) -> None:
    limits = api.submit("pass", execution_limits={"max_execution_time_seconds": 600})["limits"]
    assert limits["execution_time_seconds"] == 600
    limits = api.submit("pass", resource_limits={"max_memory_mb": 1024})["limits"]
    assert limits["memory_mb"] == 1024
    both = {"resource_limits": {"max_memory_mb": 100}, "execution_limits": {"max_memory_mb": 90}}
    assert api.submit("pass", **both)["limits"]["memory_mb"] == 90


def test_lists_page_and_filter(stack: Stack) -> None:
    api = stack.client("lists")
    api.put("/v1/agents/lister", json={"source": "pass"})
    ids = [
        api.submit(**({"agent": "lister"} if n % 2 else {"source": "1/0"}))["id"] for n in range(5)
    ]
    for execution_id in ids:
        api.outcome(execution_id)
    seen: list[str] = []
    cursor = None
    while True:
        page = api.get(
            "/v1/executions", params={"limit": 2, **({"cursor": cursor} if cursor else {})}
        )
        seen += [item["id"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]

    def listed(**params: str) -> set[str]:
        return {item["id"] for item in api.get("/v1/executions", params=params).json()["items"]}

    assert listed(status="failed") == set(ids[0::2])
    assert listed(agent="lister") == set(ids[1::2])
    assert listed(security_profile="minimal") == set()
    third = api.get(f"/v1/executions/{ids[2]}").json()["created_at"]
    assert listed(created_after=third) == set(ids[3:])
    assert listed(created_before=third) == set(ids[:2])
    for params in ({"cursor": "x"}, {"limit": "0"}, {"created_after": "2026-01-01T00:00:00"}):
        assert api.get("/v1/executions", params=params).status_code == 422


def test_a_cancelled_queued_execution_never_runs(stack: Stack) -> None:
    api = stack.client("cancelling")
    fillers = [api.submit("import time; time.sleep(2)") for _ in range(8)]
    last = api.submit("print('ran')", priority=0)
    answer = api.post(f"/v1/executions/{last['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    for filler in fillers:
        assert api.outcome(filler["id"])["status"] == "succeeded"
    execution = api.outcome(last["id"])
    assert (execution["status"], execution["attempt"]) == ("cancelled", 0)


def test_profiles_are_listed_with_their_rules(api: Api) -> None:
    profiles = {item["profile_name"]: item for item in api.get("/v1/profiles").json()["items"]}
    assert list(profiles) == ["minimal", "standard", "privileged"]
    assert profiles["standard"]["enabled"] is True
    assert profiles["privileged"]["enabled"] is False
    assert profiles["minimal"]["allowed_capabilities"] == []


def test_health_readiness_and_metrics_need_no_key(stack: Stack) -> None:
    stack.wait_ready()
    assert httpx.get(f"{stack.url}/health").json() == {"status": "ok"}
    ready = httpx.get(f"{stack.url}/health/ready").json()
    assert ready["ready"] is True
    assert ready["database"] == ready["broker"] == "ok"
    metrics = httpx.get(f"{stack.url}/metrics").text
    assert 'agentcore_executions{status="queued"}' in metrics
    assert 'route="/health/ready"' in metrics


def test_a_waiting_request_is_woken_by_the_end(api: Api) -> None:
    accepted = api.submit("import time; time.sleep(1)")
    started = time.monotonic()
    execution = api.get(f"/v1/executions/{accepted['id']}", params={"wait": 30}).json()
    assert execution["status"] == "succeeded"
    assert time.monotonic() - started < 10
    assert api.get(f"/v1/executions/{accepted['id']}", params={"wait": 61}).status_code == 422


def test_a_submit_can_wait_for_its_end(api: Api) -> None:
    answer = api.post("/v1/executions", params={"wait": 30}, json={"source": "print('now')"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/executions/{answer.json()['id']}"
    assert (answer.json()["status"], answer.json()["stdout"]["text"]) == ("succeeded", "now\n")


def test_a_submit_that_waits_too_short_tells_where_it_stands(api: Api) -> None:
    source = "import time; time.sleep(20)"
    answer = api.post("/v1/executions", params={"wait": 0.1}, json={"source": source})
    assert answer.json()["status"] in ("queued", "running")
    api.post(f"/v1/executions/{answer.json()['id']}/cancel")


def test_a_wait_that_is_too_long_is_refused_before_anything_is_accepted(api: Api) -> None:
    before = api.get("/v1/executions").json()["items"]
    answer = api.post("/v1/executions", params={"wait": 1e6}, json={"source": "pass"})
    assert answer.status_code == 422
    assert refused_fields(answer) == {"wait"}
    assert api.get("/v1/executions").json()["items"] == before


def test_a_repeated_submit_that_waits_answers_the_first_ones_end(api: Api) -> None:
    headers = {"Idempotency-Key": "waiting"}
    body = {"source": "print('once')"}
    first, again = (
        api.post("/v1/executions", params={"wait": 30}, json=body, headers=headers)
        for _ in range(2)
    )
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_key_that_may_not_read_waits_and_learns_the_status_alone(stack: Stack) -> None:
    with stack.client("blind", "--permission", "submit") as blind:
        answer = blind.post("/v1/executions", params={"wait": 30}, json={"source": "print(1)"})
    assert (answer.json()["status"], answer.json()["stdout"]) == ("succeeded", None)


def test_a_thousand_waiting_clients_do_not_hold_up_a_submit(stack: Stack) -> None:
    api = stack.client("crowd")
    sleeper = api.submit("import time; time.sleep(100)",
                         execution_limits={"max_execution_time_seconds": 120})  # fmt: skip
    api.wait_started(sleeper["id"])

    async def crowd() -> list[float]:
        limits = httpx.Limits(max_connections=1100)
        async with httpx.AsyncClient(
            base_url=stack.url, headers=dict(api.headers), limits=limits, timeout=120
        ) as client:
            path = f"/v1/executions/{sleeper['id']}"
            waiting = [
                asyncio.create_task(client.get(path, params={"wait": 60})) for _ in range(1000)
            ]
            while "agentcore_waiting_requests 1000.0" not in (await client.get("/metrics")).text:
                assert not any(task.done() for task in waiting)
            times = []
            for _ in range(20):
                started = time.monotonic()
                answer = await client.post("/v1/executions", json={"source": "pass"})
                times.append(time.monotonic() - started)
                assert answer.status_code == 202
            await client.post(f"{path}/cancel")
            answers = await asyncio.gather(*waiting)
            assert {answer.json()["status"] for answer in answers} == {"cancelled"}
            return times

    # Not a benchmark: a submit that queued behind the crowd would take many seconds.
    assert statistics.median(asyncio.run(crowd())) < 2


def test_the_api_process_never_loads_the_container_engine() -> None:
    check = (
        "import os, sys\n"
        "os.environ.update(AGENTCORE_DATABASE_URL='postgresql://x', AGENTCORE_BROKER_URL='redis://x')\n"
        "import api.app; api.app.create_app()\n"
        "print(sorted(n for n in sys.modules if n == 'docker' or n.startswith('worker.s')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['worker.shares', 'worker.submit']"
