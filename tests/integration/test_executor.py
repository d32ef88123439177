"""The executor on the real database, with a fake in place of the container."""

import threading
import uuid
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, text

from models import session as sessions
from models.errors import StoreUnavailableError
from models.sandbox import Outcome
from models.settings import Settings
from models.status import Status
from tests.harness import Stack, wait_until
from tests.integration.facts import bare_stack
from worker import claims, janitor, outcomes, replies
from worker.execution import Executor
from worker.housekeeping import Housekeeping
from worker.sandbox.errors import EngineUnavailableError, SandboxStartError
from worker.sandbox.fake import FakeBackend

SUCCESS = Outcome(status=Status.SUCCEEDED, exit_code=0)
Row = dict[str, object]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A database of its own: neither a sweep nor a worker touches what a test has set up."""
    with bare_stack(tmp_path_factory.mktemp("executor"), "unused") as (made, _):
        yield made


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return Settings(
        database_url=stack.environment["AGENTCORE_DATABASE_URL"],
        broker_url="redis://unused",
        lease_seconds=2,
        heartbeat_seconds=0.2,
        max_failed_starts=3,
    )


@pytest.fixture
def query(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Row]]:
    """Runs a statement; also points this process's sessions at the stack's database."""
    engine = create_engine(settings.database_url.get_secret_value())
    monkeypatch.setattr(sessions, "engine", lambda: engine)

    def run(statement: str, **values: object) -> Row:
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return dict(result.mappings().first() or {}) if result.returns_rows else {}

    yield run
    engine.dispose()


@pytest.fixture
def new_execution(query: Callable[..., Row]) -> Callable[..., uuid.UUID]:
    def make(max_attempts: int = 1, request: str = '{"source": "x"}') -> uuid.UUID:
        query("INSERT INTO tenants (name) VALUES ('executor-tests') ON CONFLICT DO NOTHING")
        execution_id = uuid.uuid4()
        # Unheard for a day: the stack's own sweep must not send it to the stack's worker.
        query(
            """INSERT INTO executions (id, tenant_id, request_hash, request, security_profile,
               image, network_access, limits, labels, priority, max_attempts, next_send_at)
               SELECT :id, id, '\\x00', cast(:request AS jsonb), 'standard', 'python', 'none',
               '{}', '{}', 4, :attempts, now() + interval '1 day'
               FROM tenants WHERE name = 'executor-tests'""",
            id=execution_id,
            attempts=max_attempts,
            request=request,
        )
        return execution_id

    return make


@pytest.fixture
def row(query: Callable[..., Row]) -> Callable[[uuid.UUID], Row]:
    return lambda execution_id: query("SELECT * FROM executions WHERE id = :id", id=execution_id)


def _fail(error: Exception) -> Callable[[], None]:
    def before() -> None:
        raise error

    return before


def test_an_execution_is_claimed_once_by_many_workers(settings, new_execution, row) -> None:  # type: ignore[no-untyped-def]
    backend = FakeBackend(lambda *_: SUCCESS)
    executors = [Executor(backend, settings, f"worker-{n}") for n in range(8)]
    execution_id = new_execution()
    threads = [threading.Thread(target=item.execute, args=(execution_id,)) for item in executors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(backend.specs) == 1
    assert (row(execution_id)["status"], row(execution_id)["attempt"]) == ("succeeded", 1)


@pytest.mark.parametrize("error", [SandboxStartError("no report"), KeyError("ours")])
def test_a_failure_before_user_code_is_tried_again_until_claims_are_spent(  # type: ignore[no-untyped-def]
    settings, new_execution, row, error: Exception
) -> None:
    executor = Executor(FakeBackend(lambda *_: SUCCESS, before=_fail(error)), settings, "w")
    execution_id = new_execution()
    statuses = []
    for _ in range(3):
        executor.execute(execution_id)
        statuses.append(row(execution_id)["status"])
    assert statuses == ["queued", "queued", "lost"]
    assert row(execution_id)["reason"] == "sandbox_unavailable"
    assert row(execution_id)["user_starts"] == 0


def test_an_engine_that_is_away_never_costs_an_execution(settings, new_execution, row) -> None:  # type: ignore[no-untyped-def]
    away = FakeBackend(lambda *_: SUCCESS, before=_fail(EngineUnavailableError("away")))
    executor = Executor(away, settings, "w")
    execution_id = new_execution()
    for _ in range(5):
        executor.execute(execution_id)
    assert (row(execution_id)["status"], row(execution_id)["failed_starts"]) == ("queued", 0)
    # Once it is known, the execution is left to others without a claim.
    executor.engine_error = "away"
    executor.execute(execution_id)
    assert row(execution_id)["attempt"] == 5
    executor.engine_error = None
    executor.backend = FakeBackend(lambda *_: SUCCESS)
    executor.execute(execution_id)
    assert row(execution_id)["status"] == "succeeded"


def test_a_cancel_during_a_failing_start_ends_it(settings, new_execution, row, query) -> None:  # type: ignore[no-untyped-def]
    execution_id = new_execution()

    def cancel_and_fail() -> None:
        query("UPDATE executions SET cancel_requested_at = now() WHERE id = :i", i=execution_id)
        raise EngineUnavailableError("away")

    backend = FakeBackend(lambda *_: SUCCESS, before=cancel_and_fail)
    Executor(backend, settings, "w").execute(execution_id)
    assert (row(execution_id)["status"], row(execution_id)["reason"]) == (
        "cancelled",
        "cancel_requested",
    )


def test_a_stored_request_that_rules_no_longer_accept_is_rejected(  # type: ignore[no-untyped-def]
    settings, new_execution, row, query
) -> None:
    execution_id = new_execution(request='{"source": "x", "gone_since": 1}')
    Executor(FakeBackend(lambda *_: SUCCESS), settings, "w").execute(execution_id)
    assert (row(execution_id)["status"], row(execution_id)["reason"]) == (
        "rejected",
        "policy_violation",
    )


def test_leases_that_ran_out_unseen_are_not_expired_at_once(settings, new_execution, row) -> None:  # type: ignore[no-untyped-def]
    patience = janitor.Patience()
    assert not patience.saw_the_database(settings)
    patience._seen_since -= settings.lease_seconds
    assert patience.saw_the_database(settings)
    # Nobody saw the database for a while: what ran out meanwhile says nothing.
    patience._last_seen -= 3600
    assert not patience.saw_the_database(settings)


def test_a_worker_that_cannot_see_the_database_ends_what_another_may_start(  # type: ignore[no-untyped-def]
    settings, new_execution, row, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeatable, once = new_execution(2), new_execution(1)
    ended: list[tuple[uuid.UUID, int]] = []
    executor = Executor(FakeBackend(lambda *_: SUCCESS), settings, "w")
    executor._running = {
        item: claims.Claim(
            execution_id=item, attempt=1, max_attempts=attempts, user_starts=0, request={}
        )
        for item, attempts in ((repeatable, 2), (once, 1))
    }
    monkeypatch.setattr(executor.backend, "abandon", lambda *of: ended.append(of))

    def away(*_: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(claims, "renew", away)
    housekeeping = Housekeeping(executor)
    with pytest.raises(StoreUnavailableError):
        housekeeping.beat()
    assert ended == []
    housekeeping._renewed_at -= 3 * settings.lease_seconds
    with pytest.raises(StoreUnavailableError):
        housekeeping.beat()
    assert ended == [(repeatable, 1)]


@pytest.mark.parametrize(("max_attempts", "status"), [(1, "lost"), (2, "queued")])
def test_a_failure_after_user_code_is_repeated_only_when_allowed(  # type: ignore[no-untyped-def]
    settings, new_execution, row, max_attempts: int, status: str
) -> None:
    def fail(*_: object) -> Outcome:
        raise EngineUnavailableError("went away")

    execution_id = new_execution(max_attempts)
    Executor(FakeBackend(fail), settings, "w").execute(execution_id)
    assert row(execution_id)["status"] == status
    assert row(execution_id)["user_starts"] == 1


def test_an_outcome_whose_answer_was_lost_is_recorded_once_and_told(  # type: ignore[no-untyped-def]
    settings, new_execution, row, query, monkeypatch
) -> None:
    execution_id = new_execution()
    query("UPDATE executions SET reply_pending = true WHERE id = :id", id=execution_id)
    end, told, answers = outcomes._end, [], []

    def lose_the_first_answer(*given: object) -> object:
        answers.append(end(*given))
        if len(answers) == 1:
            raise StoreUnavailableError("the connection broke")
        return answers[-1]

    monkeypatch.setattr(outcomes, "_end", lose_the_first_answer)
    monkeypatch.setattr(replies, "send", told.append)
    Executor(FakeBackend(lambda *_: SUCCESS), settings, "w").execute(execution_id)
    assert row(execution_id)["status"] == "succeeded"
    assert told == [execution_id]
    assert len(answers) == 1, "it is looked for before it is tried again"


def test_an_outcome_of_a_lost_lease_is_dropped(settings, new_execution, row, query) -> None:  # type: ignore[no-untyped-def]
    execution_id = new_execution()

    def lose(*_: object) -> Outcome:
        # As the sweep does once the lease has run out, and another worker after it.
        query("UPDATE executions SET status = 'queued' WHERE id = :id", id=execution_id)
        assert claims.claim(execution_id, "other", 60) is not None
        return SUCCESS

    Executor(FakeBackend(lose), settings, "w").execute(execution_id)
    assert row(execution_id)["status"] == "running"
    assert (row(execution_id)["lease_owner"], row(execution_id)["attempt"]) == ("other", 2)


def test_a_heartbeat_keeps_the_lease_and_a_lost_one_ends_the_program(  # type: ignore[no-untyped-def]
    settings, new_execution, row, query
) -> None:
    execution_id = new_execution()
    started, ended = threading.Event(), threading.Event()

    def wait(_spec: object, cancelled: threading.Event) -> Outcome:
        started.set()
        assert cancelled.wait(20)
        ended.set()
        return SUCCESS

    executor = Executor(FakeBackend(wait), settings, "beating")
    housekeeping = Housekeeping(executor)
    housekeeping.start()
    thread = threading.Thread(target=executor.execute, args=(execution_id,))
    thread.start()
    try:
        assert started.wait(10)
        first = row(execution_id)["lease_expires_at"]
        wait_until(lambda: row(execution_id)["lease_expires_at"] > first, 10, "a renewal")
        query("UPDATE executions SET status = 'queued' WHERE id = :id", id=execution_id)
        assert ended.wait(10)
    finally:
        thread.join(20)
        housekeeping.stop()
    assert row(execution_id)["status"] == "queued"


def test_a_cancel_before_the_start_keeps_user_code_from_running(  # type: ignore[no-untyped-def]
    settings, new_execution, row, query
) -> None:
    execution_id = new_execution()

    def cancel() -> None:
        query("UPDATE executions SET cancel_requested_at = now() WHERE id = :i", i=execution_id)

    def never(*_: object) -> Outcome:
        raise AssertionError("user code ran")

    Executor(FakeBackend(never, before=cancel), settings, "w").execute(execution_id)
    assert (row(execution_id)["status"], row(execution_id)["user_starts"]) == ("cancelled", 0)


def test_what_is_cancelled_while_it_is_queued_costs_no_sandbox(  # type: ignore[no-untyped-def]
    settings, new_execution, row, query
) -> None:
    execution_id = new_execution()
    query("UPDATE executions SET cancel_requested_at = now() WHERE id = :i", i=execution_id)
    backend = FakeBackend(lambda *_: SUCCESS)
    Executor(backend, settings, "w").execute(execution_id)
    assert backend.specs == []
    assert row(execution_id)["status"] == "cancelled"


def test_what_a_deaf_broker_does_not_take_is_due_again_and_was_not_sent(  # type: ignore[no-untyped-def]
    settings, new_execution, query, row, monkeypatch
) -> None:
    taken: list[uuid.UUID] = []

    def send(execution_id: uuid.UUID, _priority: int) -> bool:
        if len(taken) == 2:
            return False
        # Nothing is locked while a broker is waited for.
        query("UPDATE executions SET labels = labels WHERE id = :id", id=execution_id)
        taken.append(execution_id)
        return True

    monkeypatch.setattr(janitor, "send_execute", send)
    waiting = [new_execution() for _ in range(4)]
    for number, execution_id in enumerate(waiting):
        query(
            "UPDATE executions SET next_send_at = '2000-01-01'::timestamptz + :n * interval '1 s' "
            "WHERE id = :id",
            id=execution_id,
            n=number,
        )
    assert janitor._send_unheard(settings) == 2
    assert taken == waiting[:2]
    assert [row(item)["send_count"] for item in waiting] == [1, 1, 0, 0]
    for item in waiting:
        query("UPDATE executions SET status = 'cancelled' WHERE id = :id", id=item)
