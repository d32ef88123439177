"""Batches: what is stored and told of their runs, with a fake in place of the container.

The database and the API are real. test_batch.py runs real programs.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import create_engine

from models import result_views
from models import session as sessions
from models.errors import StoreUnavailableError
from models.result_views import load_results
from models.sandbox import CapturedStream, InputOutcome, Outcome, SandboxConfig
from models.settings import Settings
from models.status import Reason, Status
from models.views import load_execution
from tests.harness import Api, Stack, refused_fields, wait_until
from tests.integration.facts import ask, bare_stack
from worker import batches
from worker.execution import Executor
from worker.sandbox.errors import EngineUnavailableError
from worker.sandbox.fake import FakeBackend

PATIENCE = 30  # seconds for a thread of these tests to come to its end
Lots = Callable[[SandboxConfig], Iterable[Sequence[InputOutcome]]]


def run(index: int, **fields: Any) -> InputOutcome:
    """Return a run that printed its index."""
    text = f"out {index}\n".encode()
    stdout = CapturedStream(kept=text, total_bytes=len(text))
    defaults: dict[str, Any] = {"status": Status.SUCCEEDED, "exit_code": 0, "stdout": stdout}
    return InputOutcome(index=index, **defaults | fields)


def printed(size: int) -> CapturedStream:
    """Return a stream of so many bytes."""
    return CapturedStream(kept=b"x" * size, total_bytes=size)


FAILED = {"status": Status.FAILED, "reason": Reason.EXIT_NONZERO, "exit_code": 3}
TIMED_OUT = {"status": Status.TIMED_OUT, "reason": Reason.TIME_LIMIT, "exit_code": None}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An API on a database of its own; what is submitted waits for this process to run it."""
    with bare_stack(tmp_path_factory.mktemp("batch"), "unused") as (made, _):
        made.start("api")
        wait_until(lambda: _is_served(made), what="the API")
        yield made


def _is_served(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.url}/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def api(stack: Stack) -> Api:
    return stack.client("batches")


@pytest.fixture
def tenant_id(stack: Stack, api: Api) -> UUID:
    found: UUID = ask(stack, "SELECT id FROM tenants WHERE name = 'batches'")[0]
    return found


@pytest.fixture
def settings(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Also points this process's sessions at the stack's database."""
    url = stack.environment["AGENTCORE_DATABASE_URL"]
    engine = create_engine(url)
    monkeypatch.setattr(sessions, "engine", lambda: engine)
    yield Settings(database_url=url, broker_url="redis://unused", max_batch_bytes=65_536)
    engine.dispose()


def _outcome(_spec: SandboxConfig, _cancelled: threading.Event) -> Outcome:
    return Outcome(status=Status.SUCCEEDED, exit_code=0)


def execute(settings: Settings, execution_id: str, lots: Lots, outcome: Any = _outcome) -> None:
    """Run one execution in this process; `lots` are its results as they come."""
    Executor(FakeBackend(outcome, runs=lots), settings, "w").execute(UUID(execution_id))


class Halfway:
    """A batch of five that stops after the first two until it is released."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()

    def __call__(self, _: SandboxConfig) -> Iterator[Sequence[InputOutcome]]:
        yield [run(0), run(1, **FAILED)]
        self.reached.set()
        assert self.released.wait(PATIENCE)
        yield [run(2), run(3, **TIMED_OUT), run(4)]


@contextmanager
def halfway(settings: Settings, execution_id: str) -> Iterator[Halfway]:
    """Hold a batch halfway in a thread; let it end with the block at the latest."""
    batch = Halfway()
    thread = threading.Thread(target=execute, args=(settings, execution_id, batch))
    thread.start()
    try:
        assert batch.reached.wait(PATIENCE)
        yield batch
    finally:
        batch.released.set()
        thread.join(PATIENCE)


def submit(api: Api, inputs: Sequence[str] = "abcde", **fields: Any) -> str:
    """Submit a batch and return its id."""
    return str(api.submit("print(input())", inputs=list(inputs), **fields)["id"])


def page(api: Api, execution_id: str, **params: Any) -> dict[str, Any]:
    """Return a page of results."""
    answer = api.get(f"/v1/executions/{execution_id}/results", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def indexes(page: dict[str, Any]) -> list[int]:
    return [item["index"] for item in page["items"]]


def lines(api: Api, execution_id: str, **params: Any) -> list[dict[str, Any]]:
    """Return a whole stream."""
    answer = api.get(f"/v1/executions/{execution_id}/results/stream", params=params)
    assert answer.headers["content-type"] == "application/x-ndjson", answer.text
    return [json.loads(line) for line in answer.content.split(b"\n") if line]


def waiting(api: Api) -> int:
    """Return how many requests wait in the API."""
    metrics = httpx.get(f"{api.base_url}/metrics").text.splitlines()
    [line] = [line for line in metrics if line.startswith("agentcore_waiting_requests ")]
    return int(float(line.split()[1]))


def trail(api: Api, execution_id: str) -> list[dict[str, Any]]:
    """Return the data of all audit events, whose chain is intact."""
    events = api.events(execution_id)
    assert events["intact"]
    return [event["data"] for event in events["items"]]


def digest(items: Sequence[dict[str, Any]]) -> str:
    """Return what the final audit event tells of results, computed from what the API tells."""
    return _sha256("".join(_line(item) for item in items))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _line(item: dict[str, Any]) -> str:
    names = ("index", "status", "reason", "exit_code", "signal")
    result = None if item["result"] is None else json.dumps(item["result"])
    contents = [item["stdout"]["text"], item["stderr"]["text"], result]
    digests = [None if text is None else _sha256(text) for text in contents]
    cells = [*(item[name] for name in names), *digests]
    return "|".join("" if cell is None else str(cell) for cell in cells) + "\n"


def test_results_are_told_while_the_batch_runs(api: Api, settings: Settings) -> None:
    execution_id = submit(api)
    assert page(api, execution_id) == {"items": [], "next": -1, "complete": False}
    with halfway(settings, execution_id):
        first = page(api, execution_id)
        assert (indexes(first), first["next"], first["complete"]) == ([0, 1], 1, False)
        counts = {"inputs": 5, "succeeded": 1, "failed": 1, "timed_out": 0}
        assert api.get(f"/v1/executions/{execution_id}").json()["batch"] == counts
    rest = page(api, execution_id, after=1)
    assert (indexes(rest), rest["next"], rest["complete"]) == ([2, 3, 4], 4, True)
    assert first["items"][1] == {
        "index": 1,
        "attempt": 1,
        "status": "failed",
        "reason": "exit_nonzero",
        "exit_code": 3,
        "signal": None,
        "stdout": {"text": "out 1\n", "base64": None, "total_bytes": 6, "truncated": False},
        "stderr": {"text": "", "base64": None, "total_bytes": 0, "truncated": False},
        "result": None,
        "result_truncated": False,
        "wall_seconds": None,
    }


def test_a_waiting_request_is_woken_by_results_and_by_the_end(api: Api, settings: Settings) -> None:
    execution_id = submit(api)
    with halfway(settings, execution_id) as batch:
        found: list[dict[str, Any]] = []

        def wait() -> None:
            found.append(page(api, execution_id, after=1, wait=PATIENCE))
            found.append(page(api, execution_id, after=4, wait=PATIENCE))

        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: waiting(api) == 1, what="the long-poll")
        batch.released.set()
        thread.join(PATIENCE)
    assert [indexes(item) for item in found] == [[2, 3, 4], []]
    assert found[1]["complete"]


def test_pages_are_limited_and_go_on_where_they_ended(api: Api, settings: Settings) -> None:
    execution_id = submit(api)
    execute(settings, execution_id, lambda _: [[run(index) for index in range(5)]])
    seen, position = [], -1
    for _ in range(3):
        one = page(api, execution_id, after=position, limit=2)
        seen.append(indexes(one))
        position = one["next"]
    assert seen == [[0, 1], [2, 3], [4]]
    assert one["complete"]
    for wrong in ({"after": -2}, {"after": 10_001}, {"limit": 0}, {"limit": 1001}, {"wait": 61}):
        answer = api.get(f"/v1/executions/{execution_id}/results", params=wrong)
        assert refused_fields(answer) == set(wrong)


def test_a_page_of_large_results_is_cut_by_their_bytes(
    api: Api, settings: Settings, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = submit(api)
    lot = [run(index, stdout=printed(1000)) for index in range(5)]
    execute(settings, execution_id, lambda _: [lot])
    monkeypatch.setattr(result_views, "MAX_PAGE_BYTES", 1500)
    with sessions.transaction() as session:
        cut = load_results(session, UUID(execution_id), tenant_id, after=-1, limit=5)
        rest = load_results(session, UUID(execution_id), tenant_id, after=3, limit=5)
    assert ([item.index for item in cut.items], cut.complete) == ([0, 1], False)
    assert ([item.index for item in rest.items], rest.complete) == ([4], True)


def test_a_stream_tells_results_as_they_come_and_says_when_it_is_complete(
    api: Api, settings: Settings
) -> None:
    execution_id = submit(api)
    with (
        halfway(settings, execution_id) as batch,
        api.stream("GET", f"/v1/executions/{execution_id}/results/stream") as answer,
    ):
        told = answer.iter_lines()
        assert [json.loads(next(told))["index"] for _ in range(2)] == [0, 1]
        batch.released.set()
        rest = [json.loads(line) for line in told if line]
    assert [line["index"] for line in rest[:-1]] == [2, 3, 4]
    assert rest[-1] == {"next": 4, "complete": True, "detail": None}
    assert lines(api, execution_id, after=3) == rest[2:]


def test_nothing_is_left_of_a_client_that_went_away_in_the_middle(
    api: Api, settings: Settings
) -> None:
    execution_id = submit(api)
    with halfway(settings, execution_id):
        with api.stream("GET", f"/v1/executions/{execution_id}/results/stream") as answer:
            told = answer.iter_lines()
            next(told)
            assert waiting(api) == 1
        wait_until(lambda: waiting(api) == 0, what="the stream's end")


def test_results_are_the_tenants_own_and_need_the_permission_to_read(
    stack: Stack, api: Api, settings: Settings
) -> None:
    execution_id = submit(api)
    execute(settings, execution_id, lambda _: [[run(0)]])
    stranger = stack.client("strangers")
    submitter = stack.client("batches", "--permission", "submit")
    for path in (f"/v1/executions/{execution_id}/results{end}" for end in ("", "/stream")):
        assert stranger.get(path).status_code == 404
        assert submitter.get(path).status_code == 403


def test_what_is_no_batch_has_no_results(api: Api, settings: Settings) -> None:
    execution_id = api.submit("pass")["id"]
    execute(settings, execution_id, lambda _: [])
    assert api.get(f"/v1/executions/{execution_id}").json()["batch"] is None
    for end in ("", "/stream"):
        answer = api.get(f"/v1/executions/{execution_id}/results{end}")
        assert (answer.status_code, answer.json()["title"]) == (409, "Conflict")
        assert "submitted without inputs" in answer.json()["detail"]
    # Nothing of batches is in its trail.
    assert not any({"batch", "results_sha256"} & set(data) for data in trail(api, execution_id))


def test_ten_thousand_inputs_are_taken_and_no_more(stack: Stack, api: Api) -> None:
    body = {"source": "pass", "inputs": ["a-marked-input"] * 10_000}
    accepted = api.post("/v1/executions", json=body)
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["batch"]["inputs"] == 10_000
    body["inputs"].append("x")
    assert refused_fields(api.post("/v1/executions", json=body)) == {"inputs"}
    assert "a-marked-input" not in stack.log("api")
    assert "a-marked-input" not in str(api.events(accepted.json()["id"]))


def test_the_final_event_covers_all_results(api: Api, settings: Settings) -> None:
    execution_id = submit(api)
    marked = CapturedStream(kept=b"a-marked-output", total_bytes=15)
    counts = {"inputs": 5, "succeeded": 2, "failed": 1, "timed_out": 0}
    lot = [run(0), run(1, stderr=marked, **FAILED), run(2, result='{"a": [1, null]}')]
    execute(settings, execution_id, lambda _: [lot],
            lambda *_: Outcome(status=Status.SUCCEEDED, batch=counts))  # fmt: skip
    items = page(api, execution_id)["items"]
    told = trail(api, execution_id)
    assert (told[-1]["results_sha256"], told[-1]["batch"]) == (digest(items), counts)
    assert api.get(f"/v1/executions/{execution_id}").json()["batch"] == counts
    assert "a-marked-output" not in str(told)


def test_what_is_over_the_batchs_bytes_keeps_its_status_alone(api: Api, settings: Settings) -> None:
    execution_id = submit(api)
    lot = [
        run(0, stdout=printed(40_000)),
        run(1, stdout=printed(20_000), stderr=printed(9_000), result='"r"', **FAILED),
        run(2, stdout=printed(20_000)),
    ]
    execute(settings, execution_id, lambda _: [lot])
    kept, cut, also_kept = page(api, execution_id)["items"]
    assert len(kept["stdout"]["text"]) == 40_000
    assert (cut["status"], cut["exit_code"]) == ("failed", 3)
    assert cut["stdout"] == {"text": "", "base64": None, "total_bytes": 20_000, "truncated": True}
    assert (cut["stderr"]["total_bytes"], cut["stderr"]["truncated"]) == (9_000, True)
    assert (cut["result"], cut["result_truncated"]) == (None, True)
    assert (also_kept["stdout"]["truncated"], also_kept["result_truncated"]) == (False, False)


def test_results_outlast_an_outage_of_the_database(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "RETRY_SECONDS", 0)
    execution_id = submit(api)

    def lots(_: SandboxConfig) -> Iterator[Sequence[InputOutcome]]:
        with monkeypatch.context() as away:
            away.setattr(batches, "transaction", _away)
            yield [run(0)]
            assert page(api, execution_id)["items"] == []
        yield [run(1)]
        assert indexes(page(api, execution_id)) == [0, 1]
        monkeypatch.setattr(batches, "transaction", _away)
        yield [run(2)]

    execute(settings, execution_id, lots)
    assert indexes(page(api, execution_id)) == [0, 1, 2]
    assert page(api, execution_id)["complete"]


@contextmanager
def _away() -> Iterator[None]:
    raise StoreUnavailableError("the database does not answer")
    yield


def test_a_commit_whose_answer_was_lost_is_written_once(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = submit(api)

    @contextmanager
    def deaf() -> Iterator[Any]:
        with sessions.transaction() as session:
            yield session
        raise StoreUnavailableError("the database connection broke")

    monkeypatch.setattr(batches, "transaction", deaf)
    execute(settings, execution_id, lambda _: [[run(0)], [run(1)]])
    assert indexes(page(api, execution_id)) == [0, 1]


def test_an_attempt_that_lost_its_lease_ends_and_leaves_nothing(
    stack: Stack, api: Api, settings: Settings
) -> None:
    execution_id = submit(api)
    after: list[int] = []

    def lots(_: SandboxConfig) -> Iterator[Sequence[InputOutcome]]:
        with psycopg.connect(stack.owner_url) as other:
            other.execute("UPDATE executions SET attempt = 2 WHERE id = %s", (execution_id,))
        yield [run(0)]
        after.append(1)

    execute(settings, execution_id, lots)
    assert after == []
    assert ask(
        stack, "SELECT count(*) FROM batch_results WHERE execution_id = %s", execution_id
    ) == (0,)
    assert api.get(f"/v1/executions/{execution_id}").json()["status"] == "running"


def test_a_repeated_attempt_has_its_own_results(stack: Stack, api: Api, settings: Settings) -> None:
    execution_id = submit(api, max_attempts=2)

    def broken(_spec: SandboxConfig, _cancelled: threading.Event) -> Outcome:
        raise EngineUnavailableError("away")

    execute(settings, execution_id, lambda _: [[run(0), run(1), run(2)]], broken)
    assert indexes(page(api, execution_id)) == [0, 1, 2]
    execute(settings, execution_id, lambda _: [[run(0, **FAILED)]])
    one = page(api, execution_id)
    assert [(item["index"], item["attempt"]) for item in one["items"]] == [(0, 2)]
    counts = api.get(f"/v1/executions/{execution_id}").json()["batch"]
    assert (counts["succeeded"], counts["failed"]) == (0, 1)
    assert ask(
        stack, "SELECT count(*) FROM batch_results WHERE execution_id = %s", execution_id
    ) == (4,)
    told = [data.get("results_sha256") for data in trail(api, execution_id)]
    assert len({digest for digest in told if digest}) == 2


def test_what_a_lost_batch_had_told_is_kept_and_counted(api: Api, settings: Settings) -> None:
    execution_id = submit(api)

    def broken(_spec: SandboxConfig, _cancelled: threading.Event) -> Outcome:
        raise EngineUnavailableError("away")

    execute(settings, execution_id, lambda _: [[run(0), run(1, **FAILED)]], broken)
    execution = api.get(f"/v1/executions/{execution_id}").json()
    assert execution["status"] == "lost"
    assert execution["batch"] == {"inputs": 5, "succeeded": 1, "failed": 1, "timed_out": 0}
    one = page(api, execution_id)
    assert (indexes(one), one["complete"]) == ([0, 1], True)


def test_results_go_with_their_execution(stack: Stack, api: Api, settings: Settings) -> None:
    execution_id = submit(api)
    execute(settings, execution_id, lambda _: [[run(0)]])
    count = "SELECT count(*) FROM batch_results WHERE execution_id = %s"
    assert ask(stack, count, execution_id) == (1,)
    with psycopg.connect(stack.owner_url) as owner:
        owner.execute("DELETE FROM executions WHERE id = %s", (execution_id,))
    assert ask(stack, count, execution_id) == (0,)
    assert api.get(f"/v1/executions/{execution_id}/results").status_code == 404


def test_a_reply_has_the_summary_and_not_the_results(
    api: Api, settings: Settings, tenant_id: UUID
) -> None:
    execution_id = submit(api)
    execute(settings, execution_id, lambda _: [[run(0)]])
    with sessions.transaction() as session:
        told = load_execution(session, UUID(execution_id), tenant_id)
    assert told.model_dump(mode="json")["batch"]["succeeded"] == 1
    assert "out 0" not in told.model_dump_json()


INSERT = """INSERT INTO batch_results (execution_id, attempt, index, status, stdout, stdout_bytes,
    stderr, stderr_bytes) VALUES (%s, %s, %s, 'succeeded', '', 0, '', 0)"""


@pytest.fixture
def app(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the application's role."""
    with psycopg.connect(stack.environment["AGENTCORE_DATABASE_URL"], autocommit=True) as made:
        yield made


def test_the_database_takes_results_only_while_their_attempt_runs(
    api: Api, settings: Settings, app: psycopg.Connection[Any]
) -> None:
    execution_id, plain = submit(api), api.submit("pass")["id"]

    def refused(of: str, attempt: int) -> None:
        with pytest.raises(psycopg.errors.CheckViolation, match="while their attempt"):
            app.execute(INSERT, (of, attempt, 9))

    def lots(_: SandboxConfig) -> Iterator[Sequence[InputOutcome]]:
        refused(execution_id, 2)
        app.execute(INSERT, (execution_id, 1, 0))
        yield []

    def no_batch(_: SandboxConfig) -> list[Sequence[InputOutcome]]:
        refused(plain, 1)
        return []

    refused(execution_id, 0)
    execute(settings, execution_id, lots)
    assert indexes(page(api, execution_id)) == [0]
    refused(execution_id, 1)
    execute(settings, plain, no_batch)
    assert api.get(f"/v1/executions/{plain}").json()["status"] == "succeeded"
    for statement in ("UPDATE batch_results SET index = 9", "DELETE FROM batch_results"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)


def test_the_end_waits_for_results_that_are_being_stored(
    stack: Stack, api: Api, settings: Settings, app: psycopg.Connection[Any]
) -> None:
    execution_id = submit(api)

    def commit_when_somebody_waits() -> None:
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: ask(stack, waits)[0] > 0, what="the end to wait")
        app.execute("COMMIT")

    committing = threading.Thread(target=commit_when_somebody_waits)

    def lots(_: SandboxConfig) -> Iterator[Sequence[InputOutcome]]:
        yield [run(0)]
        app.execute("BEGIN")
        app.execute(INSERT, (execution_id, 1, 1))
        committing.start()

    execute(settings, execution_id, lots)
    committing.join(PATIENCE)
    items = page(api, execution_id)["items"]
    assert [item["index"] for item in items] == [0, 1]
    assert trail(api, execution_id)[-1]["results_sha256"] == digest(items)
