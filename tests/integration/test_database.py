"""What the database itself guarantees, asked with the roles that the processes have."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from deploy.local.services import Services
from models.audit import broken_at
from models.status import TRANSITIONS, Status
from models.tables import AuditEventRow, Base
from tests.harness import ROOT, Stack
from tests.integration.facts import bare_database

INSERT = """
INSERT INTO executions (id, tenant_id, request_hash, request, security_profile, image,
    network_access, limits, labels, priority, max_attempts)
SELECT :id, id, '\\x00', '{}', 'standard', 'python', 'none', '{}', '{}', 4, 1
FROM tenants WHERE name = 'database-tests'
"""


@pytest.fixture(scope="module")
def app_url(stack: Stack) -> str:
    return stack.environment["AGENTCORE_DATABASE_URL"]


@pytest.fixture
def connection(app_url: str) -> Iterator[Connection]:
    engine = create_engine(app_url)
    with engine.connect() as connection:
        connection.execute(
            text("INSERT INTO tenants (name) VALUES ('database-tests') ON CONFLICT DO NOTHING")
        )
        connection.commit()
        yield connection
    engine.dispose()


def _new_execution(connection: Connection) -> uuid.UUID:
    execution_id = uuid.uuid4()
    connection.execute(text(INSERT), {"id": execution_id})
    # Out of the way of the stack's own sweep.
    connection.execute(
        text("UPDATE executions SET next_send_at = now() + interval '1 day' WHERE id = :id"),
        {"id": execution_id},
    )
    connection.commit()
    return execution_id


def _go(connection: Connection, execution_id: uuid.UUID, status: Status) -> None:
    lease = (
        ", lease_owner = 'test', lease_expires_at = now() + interval '1 day'"
        if status is Status.RUNNING
        else ""
    )
    connection.execute(
        text(f"UPDATE executions SET status = :status {lease} WHERE id = :id"),
        {"id": execution_id, "status": status},
    )
    connection.commit()


def _bring_to(connection: Connection, status: Status) -> uuid.UUID:
    execution_id = _new_execution(connection)
    if status is not Status.QUEUED:
        _go(connection, execution_id, Status.RUNNING)
    if status is not Status.QUEUED and status is not Status.RUNNING:
        _go(connection, execution_id, status)
    return execution_id


@pytest.mark.parametrize("start", list(Status))
def test_the_database_allows_exactly_the_transitions_of_the_status_machine(
    connection: Connection, start: Status
) -> None:
    for target in Status:
        if target is start:
            continue
        execution_id = _bring_to(connection, start)
        if target in TRANSITIONS[start]:
            _go(connection, execution_id, target)
        else:
            with pytest.raises(DBAPIError, match=r"cannot go|is final"):
                _go(connection, execution_id, target)
            connection.rollback()
        if not Status(target).is_terminal and target in TRANSITIONS[start]:
            _go(connection, execution_id, Status.LOST)


def test_an_execution_starts_queued(connection: Connection) -> None:
    with pytest.raises(DBAPIError, match="starts queued"):
        connection.execute(
            text(
                INSERT.replace("max_attempts)", "max_attempts, status)").replace(
                    "4, 1", "4, 1, 'failed'"
                )
            ),
            {"id": uuid.uuid4()},
        )


def test_what_has_ended_cannot_be_changed(connection: Connection) -> None:
    execution_id = _bring_to(connection, Status.FAILED)
    with pytest.raises(DBAPIError, match="is final"):
        connection.execute(
            text("UPDATE executions SET exit_code = 0 WHERE id = :id"), {"id": execution_id}
        )
    connection.rollback()
    connection.execute(
        text("UPDATE executions SET reply_pending = true WHERE id = :id"), {"id": execution_id}
    )


def test_the_fencing_token_only_grows(connection: Connection) -> None:
    execution_id = _bring_to(connection, Status.RUNNING)
    connection.execute(text("UPDATE executions SET attempt = 3 WHERE id = :i"), {"i": execution_id})
    with pytest.raises(DBAPIError, match="only grows"):
        connection.execute(
            text("UPDATE executions SET attempt = 2 WHERE id = :i"), {"i": execution_id}
        )


def test_what_was_asked_cannot_be_changed(connection: Connection) -> None:
    execution_id = _bring_to(connection, Status.RUNNING)
    with pytest.raises(DBAPIError, match="what was asked"):
        connection.execute(
            text("""UPDATE executions SET request = '{"source": "other"}' WHERE id = :i"""),
            {"i": execution_id},
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET kind = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "INSERT INTO audit_events SELECT * FROM audit_events LIMIT 1",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DELETE FROM executions",
        "DROP TABLE executions",
        "CREATE TABLE mine (x int)",
    ],
)
def test_the_applications_role_may_not(connection: Connection, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_events SET kind = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"],
)
def test_even_the_owner_cannot_change_audit_events_unnoticed(
    stack: Stack, connection: Connection, statement: str
) -> None:
    _new_execution(connection)
    engine = create_engine(stack.owner_url)
    with engine.connect() as owner, pytest.raises(DBAPIError, match="append-only"):
        owner.execute(text(statement))
    engine.dispose()


def test_the_application_cannot_say_what_the_database_says(connection: Connection) -> None:
    execution_id = _new_execution(connection)
    with pytest.raises(DBAPIError, match="the database itself records"):
        connection.execute(
            text("SELECT append_audit_event(:i, 'status_changed', '{}')"), {"i": execution_id}
        )


def test_no_artifact_comes_after_the_end(connection: Connection) -> None:
    execution_id = _bring_to(connection, Status.SUCCEEDED)
    with pytest.raises(DBAPIError, match="while their execution runs"):
        connection.execute(
            text("INSERT INTO artifacts VALUES (:i, 'late', 1, 'x', 'x')"), {"i": execution_id}
        )


def test_a_tampered_event_is_found(connection: Connection) -> None:
    execution_id = _bring_to(connection, Status.FAILED)
    rows = connection.execute(
        text("SELECT * FROM audit_events WHERE execution_id = :i ORDER BY sequence"),
        {"i": execution_id},
    ).mappings()
    events = [AuditEventRow(**{**row, "hash": bytes(row["hash"])}) for row in rows]
    assert len(events) == 3
    assert broken_at(events) is None
    events[1].data = events[1].data.replace("running", "succeeded")
    assert broken_at(events) == 2
    assert broken_at([events[0], events[2]]) == 3


def test_concurrent_appends_form_one_chain(app_url: str, connection: Connection) -> None:
    from concurrent.futures import ThreadPoolExecutor

    execution_id = _new_execution(connection)
    conninfo = app_url

    def append(number: int) -> None:
        with psycopg.connect(conninfo) as own:
            own.execute(
                "SELECT append_audit_event(%s, 'claimed', %s)",
                (execution_id, f'{{"n": {number}}}'),
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    rows = connection.execute(
        text("SELECT * FROM audit_events WHERE execution_id = :i ORDER BY sequence"),
        {"i": execution_id},
    ).mappings()
    events = [AuditEventRow(**row) for row in rows]
    assert len(events) == 41
    assert broken_at(events) is None


def test_models_and_migrations_agree(stack: Stack) -> None:
    engine = create_engine(stack.owner_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrations_go_down_and_up_again(services: Services, stack: Stack) -> None:
    with bare_database(services, stack) as (url, config):
        for _ in range(2):
            command.upgrade(config, "head")
            command.downgrade(config, "base")
        with psycopg.connect(url) as connection:
            left = connection.execute(
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "AND relname NOT LIKE 'alembic%'"
            ).fetchone()
            functions = connection.execute(
                "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            ).fetchone()
    assert left == (0,)
    assert functions == (0,)


def _alembic(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", *words],
        cwd=ROOT,
        env=os.environ | {"AGENTCORE_DATABASE_OWNER_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _at(url: str, revision: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])


def test_an_older_release_leaves_a_newer_database_as_it_is(
    services: Services, stack: Stack
) -> None:
    with bare_database(services, stack) as (url, config):
        command.upgrade(config, "head")
        _at(url, "9999")
        done = _alembic(url, "upgrade", "head")
        assert done.returncode == 0
        assert "of a newer release (9999)" in done.stderr
        with psycopg.connect(url) as connection:
            now = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        assert now == ("9999",)
        assert _alembic(url, "downgrade", "0001").returncode != 0
        _at(url, "ae1027a6acf0")  # somebody else's
        assert _alembic(url, "upgrade", "head").returncode != 0
