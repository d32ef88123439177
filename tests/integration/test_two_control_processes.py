"""Two control processes at once: what one has in hand the other leaves alone, and nobody waits."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
from celery import Celery

from tests.harness import Stack, wait_until
from tests.integration.facts import ask, bare_stack, start_worker

BOTH = ("control-a", "control-b")
SETTINGS = {
    "lease_seconds": "2", "heartbeat_seconds": "0.5", "sweep_seconds": "0.5",
    "retention_days": "1", "audit_retention_days": "7",
}  # fmt: skip
OLD = 250  # executions; a run of the retention deletes a hundred at once
TENANT = "INSERT INTO tenants (name) VALUES ('many') ON CONFLICT DO NOTHING"
# As they are a month after their end, each with an artifact and a trail: only the owner could.
AGED = f"""
ALTER TABLE executions DISABLE TRIGGER USER;
ALTER TABLE artifacts DISABLE TRIGGER USER;
INSERT INTO executions (id, tenant_id, request_hash, request, security_profile, image,
    network_access, limits, labels, priority, max_attempts, status, finished_at)
SELECT gen_random_uuid(), tenants.id, '\\x00', '{{}}', 'standard', 'python', 'none', '{{}}',
    '{{"is": "old"}}', 4, 1, 'succeeded', now() - interval '30 days' - n * interval '1 minute'
FROM tenants, generate_series(1, {OLD}) AS n WHERE name = 'many';
INSERT INTO artifacts SELECT id, 'a.txt', 1, 'x', 'x' FROM executions WHERE labels ->> 'is' = 'old';
INSERT INTO audit_events
SELECT id, 1, 'submitted', extract(epoch FROM finished_at) * 1e6, '{{}}', '', ''
FROM executions WHERE labels ->> 'is' = 'old';
ALTER TABLE artifacts ENABLE TRIGGER USER;
ALTER TABLE executions ENABLE TRIGGER USER;
"""
HOLD_OLDEST = """
SELECT 1 FROM artifacts JOIN executions ON id = execution_id
ORDER BY finished_at LIMIT 1 FOR UPDATE OF artifacts
"""
LEFT = "SELECT count(*) FROM executions WHERE labels ->> 'is' = 'old'"
OLD_EVENTS = """
SELECT count(*) FROM audit_events
WHERE recorded_at_us < extract(epoch FROM now() - interval '7 days') * 1e6
"""
EACH = 8  # expired leases of each kind
EXPIRED = f"""
INSERT INTO executions (id, tenant_id, request_hash, request, security_profile, image,
    network_access, limits, labels, priority, max_attempts)
SELECT gen_random_uuid(), tenants.id, '\\x00', '{{}}', 'standard', 'python', 'none', '{{}}',
    jsonb_build_object('is', kind), 4, CASE kind WHEN 'retried' THEN 2 ELSE 1 END
FROM tenants, generate_series(1, {EACH}), unnest(ARRAY['retried', 'lost', 'cancelled']) AS kind
WHERE name = 'many';
UPDATE executions SET status = 'running', attempt = 1, user_starts = 1, lease_owner = 'gone',
    lease_expires_at = now() - interval '1 second',
    cancel_requested_at = CASE labels ->> 'is' WHEN 'cancelled' THEN now() END
WHERE status = 'queued' AND labels ->> 'is' IN ('retried', 'lost', 'cancelled');
"""
MOVED = """
SELECT labels ->> 'is', status, failed_starts, attempt, (SELECT count(*) FROM audit_events
    WHERE execution_id = id AND kind = 'status_changed' AND data::jsonb ->> 'from' = 'running')
FROM executions WHERE labels ->> 'is' IN ('retried', 'lost', 'cancelled')
"""

Send = Callable[[], object]


@pytest.fixture(scope="module")
def pair(sandbox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two control processes, and nobody but the test who sends them work."""
    directory = tmp_path_factory.mktemp("controls")
    with bare_stack(directory, sandbox_image, **SETTINGS) as (stack, _):
        stack.start("api", *BOTH)
        for name in BOTH:
            wait_until(partial(_is_ready, stack, name), 30, f"{name} to be ready")
        wait_until(partial(_answers, stack), 30, "the API")
        _owner(stack, TENANT)
        yield stack


@pytest.fixture
def send(pair: Stack) -> Iterator[Callable[[str], object]]:
    """Sends a task as beat does."""
    with Celery("beat", broker=pair.environment["AGENTCORE_BROKER_URL"]) as beat:
        yield lambda name: beat.send_task(name, queue="agentcore.control", ignore_result=True)


def _owner(stack: Stack, statements: str) -> None:
    with psycopg.connect(stack.owner_url) as connection:
        connection.execute(statements)


def _is_ready(stack: Stack, name: str) -> bool:
    return " ready." in _log(stack, name)


def _answers(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _log(stack: Stack, name: str) -> str:
    return (stack.directory / f"{name}.log").read_text()


def _events(stack: Stack, name: str) -> list[dict[str, Any]]:
    lines = _log(stack, name).splitlines(keepends=True)
    return [json.loads(line) for line in lines if line[0] == "{" and line[-1] == "\n"]


def _done(stack: Stack, name: str, task: str) -> int:
    """Return how many tasks of this kind the process has done."""
    words = (f"Task {task}[", " succeeded in")
    return sum(all(word in item["event"] for word in words) for item in _events(stack, name))


def _told(stack: Stack, event: str, count: str) -> int:
    """Return the sum of what the two say that they did."""
    found = [item for name in BOTH for item in _events(stack, name) if item["event"] == event]
    return sum(item.get(count, 0) for item in found)


@contextmanager
def _held(stack: Stack, statement: str) -> Iterator[int]:
    """Hold what the statement locks; yields the number of who holds it."""
    with psycopg.connect(stack.owner_url) as connection:
        connection.execute(statement)
        yield connection.info.backend_pid


def _waits(stack: Stack, holder: int) -> bool:
    """Whether somebody waits for what the holder has."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    return bool(ask(stack, query, holder)[0])


def _until_both_pass_by(stack: Stack, task: str, send: Send) -> None:
    """Send until each of the two has done one more, whatever another thread of it waits for."""
    before = {name: _done(stack, name, task) for name in BOTH}

    def passed() -> bool:
        send()
        return all(_done(stack, name, task) > before[name] for name in BOTH)

    wait_until(passed, 10, f"{task} to be passed over by both")


def _assert_no_errors(stack: Stack) -> None:
    for name in BOTH:
        assert [item for item in _events(stack, name) if item["level"] == "error"] == []


def test_a_run_of_the_retention_beside_another_leaves_everything_to_it(
    pair: Stack, send: Callable[[str], object]
) -> None:
    task = "agentcore.age_out"
    before = [_told(pair, "aged_out", count) for count in ("executions", "audit_trails")]
    _owner(pair, AGED)
    with _held(pair, HOLD_OLDEST) as holder:
        send(task)
        wait_until(lambda: _waits(pair, holder), 20, "a run in the middle of its first batch")
        _until_both_pass_by(pair, task, lambda: send(task))
        assert ask(pair, LEFT) == (OLD,)
    wait_until(lambda: ask(pair, LEFT) == (0,), 20, "the old ones to be gone")

    def counts() -> list[int]:
        told = [_told(pair, "aged_out", count) for count in ("executions", "audit_trails")]
        return [now - then for now, then in zip(told, before, strict=True)]

    wait_until(lambda: sum(counts()) >= 2 * OLD, 20, "the runs to tell what they did")
    _until_both_pass_by(pair, task, lambda: send(task))
    assert counts() == [OLD, OLD]
    assert ask(pair, OLD_EVENTS) == (0,)
    _assert_no_errors(pair)


def test_executions_end_while_the_retention_runs_and_keep_all_that_is_theirs(
    pair: Stack, send: Callable[[str], object]
) -> None:
    task = "agentcore.age_out"
    start_worker(pair, "run")
    api = pair.client("many")
    _owner(pair, AGED)
    with _held(pair, HOLD_OLDEST) as holder:
        send(task)
        wait_until(lambda: _waits(pair, holder), 20, "a run in the middle of its first batch")
        fresh = [api.run("open('output/a', 'w').write('x')") for _ in range(2)]
        assert ask(pair, LEFT) == (OLD,)
    enough = threading.Event()

    def keep_on() -> None:
        while not enough.wait(0.05):
            send(task)

    thread = threading.Thread(target=keep_on)
    thread.start()
    try:
        fresh += [api.run("open('output/a', 'w').write('x')") for _ in range(4)]
        wait_until(lambda: ask(pair, LEFT) == (0,), 20, "the old ones to be gone")
    finally:
        enough.set()
        thread.join()
    assert {item["status"] for item in fresh} == {"succeeded"}
    for item in fresh:
        again = api.get(f"/v1/executions/{item['id']}").json()
        assert [artifact["path"] for artifact in again["artifacts"]] == ["a"]
        trail = api.events(item["id"])
        assert trail["intact"] is True
        assert trail["items"][-1]["data"]["to"] == "succeeded"
    pair.stop("run")
    _assert_no_errors(pair)


def test_two_sweeps_at_once_move_each_expired_lease_on_once(
    pair: Stack, send: Callable[[str], object]
) -> None:
    task = "agentcore.sweep"
    what = ("expired", "requeued", "lost", "cancelled")
    before = [_told(pair, "swept", it) for it in what]
    _owner(pair, EXPIRED)
    # No event of the trail can be written: the sweep that moves them on stops half-way.
    with _held(pair, "LOCK TABLE audit_events IN SHARE MODE") as holder:

        def stuck() -> bool:
            send(task)  # often enough for the patience of both processes with leases
            return _waits(pair, holder)

        wait_until(stuck, 20, "a sweep in the middle of its leases")
        _until_both_pass_by(pair, task, lambda: send(task))

    def moved() -> list[Any]:
        with psycopg.connect(pair.owner_url) as connection:
            return connection.execute(MOVED).fetchall()

    def settled() -> bool:
        send(task)
        return all(row[1] != "running" for row in moved())

    wait_until(settled, 20, "all to be moved on")
    _until_both_pass_by(pair, task, lambda: send(task))
    assert sorted(moved()) == sorted(
        [
            *[("retried", "queued", 1, 1, 1)] * EACH,
            *[("lost", "lost", 0, 1, 1)] * EACH,
            *[("cancelled", "cancelled", 0, 1, 1)] * EACH,
        ]
    )
    after = [_told(pair, "swept", it) for it in what]
    assert [new - old for old, new in zip(before, after, strict=True)] == [3 * EACH, *[EACH] * 3]
    _assert_no_errors(pair)
