"""What has ended is aged out, and nothing else is, asked with the roles that the processes have."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from celery import Celery
from sqlalchemy import create_engine

from deploy.local.services import Services, start_services
from models import session as sessions
from models.audit import broken_at
from models.settings import Settings
from models.tables import AuditEventRow
from tests.harness import Stack, wait_until
from worker import retention

DAY_US = 86_400_000_000
INSERT = """
INSERT INTO executions (id, tenant_id, request_hash, idempotency_key, request, security_profile,
    image, network_access, limits, labels, priority, max_attempts)
SELECT %(id)s, id, '\\x00', %(key)s, '{}', 'standard', 'python', 'none', '{}', '{}', 4, 1
FROM tenants WHERE name = 'old'
"""
RUN = """UPDATE executions SET status = 'running', lease_owner = 'w', lease_expires_at = now()
WHERE id = %(id)s"""
KEEP = "INSERT INTO artifacts VALUES (%(id)s, 'a.txt', 1, 'x', 'x')"
END = "UPDATE executions SET status = 'succeeded' WHERE id = %(id)s"
SCANS = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = %s"

Make = Callable[..., UUID]
Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    pair = start_services(tmp_path_factory.mktemp("aged"), durable=False)
    yield pair
    pair.stop()


@pytest.fixture(scope="module")
def old_stack(own_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without processes yet; it has a tenant and no execution."""
    directory = tmp_path_factory.mktemp("aged-stack")
    stack = Stack(own_services, directory, image="unused", retention_days="1")
    stack.migrate()
    yield stack
    stack.stop()


@pytest.fixture
def owner(old_stack: Stack) -> Iterator[Ask]:
    """Asks as the owner, on tables that are emptied before."""
    with psycopg.connect(old_stack.owner_url, autocommit=True) as connection:
        for table in ("artifacts", "executions", "audit_events"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        connection.execute("INSERT INTO tenants (name) VALUES ('old') ON CONFLICT DO NOTHING")

        def ask(statement: str, **values: object) -> list[Any]:
            found = connection.execute(statement, values)
            return [row[0] for row in found.fetchall()] if found.description else []

        yield ask


@pytest.fixture
def app(old_stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the application's role."""
    url = old_stack.environment["AGENTCORE_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def make(owner: Ask) -> Make:
    """Makes an execution with an artifact, as it would be so many days after its end."""

    def new(days: float = 0, *, status: str = "succeeded", key: str | None = None) -> UUID:
        execution_id = uuid4()
        steps = {"queued": [], "running": [RUN]}.get(status, [RUN, KEEP, END])
        for statement in (INSERT, *steps):
            owner(statement, id=execution_id, key=key)
        _age(owner, execution_id, days)
        return execution_id

    return new


def _age(owner: Ask, execution_id: UUID, days: float) -> None:
    """Move a finished execution and its events into the past, as only the owner could."""
    owner("ALTER TABLE executions DISABLE TRIGGER USER")
    owner("ALTER TABLE audit_events DISABLE TRIGGER USER")
    owner(
        """UPDATE executions SET created_at = created_at - %(days)s * interval '1 day',
        finished_at = finished_at - %(days)s * interval '1 day' WHERE id = %(id)s""",
        id=execution_id, days=days,
    )  # fmt: skip
    owner(
        "UPDATE audit_events SET recorded_at_us = recorded_at_us - %(us)s "
        "WHERE execution_id = %(id)s",
        id=execution_id, us=round(days * DAY_US),
    )  # fmt: skip
    owner("ALTER TABLE executions ENABLE TRIGGER USER")
    owner("ALTER TABLE audit_events ENABLE TRIGGER USER")


@pytest.fixture
def age_out(old_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Runs the retention in this process, as the application's role."""
    url = old_stack.environment["AGENTCORE_DATABASE_URL"]
    engine = create_engine(url)
    monkeypatch.setattr(sessions, "engine", lambda: engine)

    def run(**settings: float) -> dict[str, int]:
        return retention.age_out(Settings(database_url=url, broker_url="redis://x", **settings))

    yield run
    engine.dispose()


def _ids(owner: Ask) -> set[UUID]:
    return set(owner("SELECT id FROM executions"))


def _trails(owner: Ask) -> set[UUID]:
    return set(owner("SELECT execution_id FROM audit_events"))


def test_only_what_ended_long_enough_ago_goes_with_its_artifacts(
    owner: Ask, make: Make, age_out: Callable[..., Any]
) -> None:
    old, older, fresh = make(3.1, key="k"), make(30), make(2.9)
    unended = {make(90, status="queued"), make(90, status="running")}
    assert age_out(retention_days=3) == {"executions": 2, "audit_trails": 0}
    assert _ids(owner) == {fresh, *unended}
    assert owner("SELECT execution_id FROM artifacts") == [fresh]
    assert _trails(owner) == {old, older, fresh, *unended}
    # The idempotency key went with its row: it may be used again.
    make(0, key="k")


def test_nothing_is_deleted_unless_a_setting_says_so(
    owner: Ask, make: Make, age_out: Callable[..., Any]
) -> None:
    kept = make(10_000)
    assert age_out() == {"executions": 0, "audit_trails": 0}
    assert _ids(owner) == {kept}


def test_a_reply_that_was_not_stored_yet_keeps_its_execution(
    owner: Ask, make: Make, age_out: Callable[..., Any]
) -> None:
    waiting = make(30)
    owner("UPDATE executions SET reply_pending = true")
    assert age_out(retention_days=1)["executions"] == 0
    owner("UPDATE executions SET reply_pending = false")
    assert age_out(retention_days=1)["executions"] == 1
    assert waiting not in _ids(owner)


def test_audit_trails_go_whole_later_and_after_their_execution(
    owner: Ask, make: Make, age_out: Callable[..., Any]
) -> None:
    gone, newer, half = make(11), make(9), make(11)
    kept = make(40)
    owner("UPDATE executions SET reply_pending = true WHERE id = %(id)s", id=kept)
    # Submitted long ago, ended lately: a trail of which only the beginning is old enough.
    owner("ALTER TABLE audit_events DISABLE TRIGGER USER")
    owner(
        "UPDATE audit_events SET recorded_at_us = recorded_at_us + %(us)s "
        "WHERE execution_id = %(id)s AND sequence = 3",
        id=half, us=2 * DAY_US,
    )  # fmt: skip
    owner("ALTER TABLE audit_events ENABLE TRIGGER USER")
    counts = age_out(retention_days=3, audit_retention_days=10)
    assert counts == {"executions": 3, "audit_trails": 1}
    assert _ids(owner) == {kept}
    assert _trails(owner) == {newer, half, kept}
    assert gone not in _trails(owner)
    assert owner("SELECT count(*) FROM audit_events WHERE execution_id = %(i)s", i=half) == [3]


def test_a_trail_that_outlived_its_execution_can_still_be_checked(
    owner: Ask, make: Make, app: psycopg.Connection[Any], age_out: Callable[..., Any]
) -> None:
    execution_id = make(0)
    owner("DELETE FROM executions WHERE id = %(id)s", id=execution_id)
    columns = "execution_id, sequence, kind, recorded_at_us, data, previous_hash, hash"
    rows = app.execute(
        f"SELECT {columns} FROM audit_events WHERE execution_id = %s ORDER BY sequence",
        (execution_id,),
    ).fetchall()
    events = [AuditEventRow(**dict(zip(columns.split(", "), row, strict=True))) for row in rows]
    assert len(events) == 3
    assert broken_at(events) is None
    with pytest.raises(psycopg.Error, match="no execution"):
        app.execute("SELECT append_audit_event(%s, 'late', '{}')", (execution_id,))


def test_it_goes_in_batches_also_in_several_places_at_once(
    owner: Ask, make: Make, age_out: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    fresh = make(0)
    for _ in range(20):
        make(20)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(age_out, retention_days=3, audit_retention_days=7) for _ in range(3)]
        counts = [run.result(timeout=60) for run in runs]
    # One that found the others' rows locked may have stopped early; the next run goes on.
    counts.append(age_out(retention_days=3, audit_retention_days=7))
    assert sum(item["executions"] for item in counts) == 20
    assert sum(item["audit_trails"] for item in counts) == 20
    assert _ids(owner) == _trails(owner) == {fresh}


def test_a_run_that_takes_too_long_leaves_the_rest_to_the_next(
    owner: Ask, make: Make, age_out: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(20)
    monkeypatch.setattr(retention, "RUN_SECONDS", 0)
    assert age_out(retention_days=1)["executions"] == 0
    monkeypatch.setattr(retention, "RUN_SECONDS", 30)
    assert age_out(retention_days=1)["executions"] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("age_out_executions(0.99, 10)", "at least a day"),
        ("age_out_executions(-5, 10)", "at least a day"),
        ("age_out_executions('NaN', 10)", "at least a day"),
        ("age_out_executions('Infinity', 10)", "at least a day"),
        ("age_out_executions(NULL, 10)", "at least a day"),
        ("age_out_audit_trails(6.99, 10)", "at least a week"),
        ("age_out_audit_trails(-1e9, 10)", "at least a week"),
        ("age_out_audit_trails('NaN', 10)", "at least a week"),
        ("age_out_audit_trails(NULL, 10)", "at least a week"),
    ],
)
def test_the_applications_role_cannot_age_out_what_is_fresh(
    make: Make, app: psycopg.Connection[Any], call: str, message: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=message):
        app.execute(f"SELECT {call}")


def test_the_applications_role_deletes_nothing_by_itself(
    owner: Ask, make: Make, app: psycopg.Connection[Any]
) -> None:
    make(400)
    for table in ("executions", "artifacts", "audit_events"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(f"DELETE FROM {table}")
    # Where the role may make temporary tables, they do not come before ours in the functions.
    owner("GRANT TEMPORARY ON DATABASE agentcore TO agentcore_app")
    app.execute("CREATE TEMPORARY TABLE executions (id uuid, finished_at timestamptz)")
    assert app.execute("SELECT age_out_executions(1, 10)").fetchone() == (1,)
    owner("REVOKE TEMPORARY ON DATABASE agentcore FROM agentcore_app")


def test_even_the_owner_deletes_no_part_of_a_trail_and_nothing_that_runs(
    owner: Ask, make: Make
) -> None:
    old, fresh, running = make(400), make(0), make(400, status="running")
    for where in (
        "true",
        f"execution_id = '{old}'",  # its execution is still there
        f"execution_id = '{fresh}'",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
            owner(f"DELETE FROM audit_events WHERE {where}")
    with pytest.raises(psycopg.errors.CheckViolation, match="has not ended"):
        owner("DELETE FROM executions WHERE id = %(id)s", id=running)
    owner("DELETE FROM executions WHERE id IN (%(a)s, %(b)s)", a=old, b=fresh)
    for where in (f"execution_id = '{fresh}'", f"execution_id = '{old}' AND sequence > 1"):
        with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
            owner(f"DELETE FROM audit_events WHERE {where}")
    owner("DELETE FROM audit_events WHERE execution_id = %(id)s", id=old)
    assert _trails(owner) == {fresh, running}


def test_the_oldest_are_found_without_a_look_at_the_others(
    owner: Ask, make: Make, app: psycopg.Connection[Any]
) -> None:
    make(30)
    owner("ALTER TABLE executions DISABLE TRIGGER USER")
    owner(
        """INSERT INTO executions (id, tenant_id, request_hash, request, security_profile, image,
            network_access, limits, labels, priority, max_attempts, status, finished_at)
        SELECT gen_random_uuid(), tenants.id, '\\x00', '{}', 'standard', 'python', 'none', '{}',
            '{}', 4, 1, 'succeeded', now() FROM tenants, generate_series(1, 20000)
        WHERE name = 'old'"""
    )
    owner(
        """INSERT INTO audit_events SELECT id, n, 'x', extract(epoch FROM now()) * 1e6, '{}', '',
            '' FROM executions, generate_series(1, 3) AS n WHERE finished_at > now() - interval
            '1 day'"""
    )
    owner("ALTER TABLE executions ENABLE TRIGGER USER")
    owner("ANALYZE executions, audit_events")
    with app.transaction():
        assert app.execute("SELECT age_out_executions(1, 100)").fetchone() == (1,)
        assert app.execute("SELECT age_out_audit_trails(7, 100)").fetchone() == (1,)
        for table in ("executions", "audit_events"):
            assert app.execute(SCANS, (table,)).fetchone() == (0,), table


def test_beats_task_reaches_the_control_process(old_stack: Stack, owner: Ask, make: Make) -> None:
    old, fresh = make(2), make(0.5)
    old_stack.start("control")
    with Celery("beat", broker=old_stack.environment["AGENTCORE_BROKER_URL"]) as beat:
        beat.send_task("agentcore.age_out", queue="agentcore.control", ignore_result=True)
    wait_until(lambda: old not in _ids(owner), 30, "the old one to be gone")
    assert _ids(owner) == {fresh}
    wait_until(lambda: "aged_out" in old_stack.log("control"), 10, "the log line")


def test_a_row_that_somebody_holds_is_passed_over(
    old_stack: Stack, owner: Ask, make: Make, age_out: Callable[..., Any]
) -> None:
    held, free = make(30), make(20)
    with psycopg.connect(old_stack.owner_url) as other:
        other.execute("SELECT 1 FROM executions WHERE id = %s FOR UPDATE", (held,))
        assert age_out(retention_days=1)["executions"] == 1
        assert _ids(owner) == {held}
    assert age_out(retention_days=1)["executions"] == 1
    assert free not in _ids(owner)
