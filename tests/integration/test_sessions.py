"""Connections of the pool: none is handed out that is dead, and none is asked without need."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.orm import Session

from deploy.local.postgres import NOT_DURABLE, EmbeddedPostgres
from models import session as sessions
from models.errors import StoreUnavailableError

Way = Callable[[], AbstractContextManager[Session]]

IDLE = 3  # connections that wait in the pool


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that a test may restart."""
    made = EmbeddedPostgres(tmp_path_factory.mktemp("restarted"), options=NOT_DURABLE)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def engine(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The engine of this process's sessions, with connections that were used before."""
    made = sessions.make_engine(server.app_url, pool_size=IDLE)
    monkeypatch.setattr(sessions, "engine", lambda: made)
    together = Barrier(IDLE)

    def use(_number: int) -> None:
        with sessions.transaction() as session:
            session.execute(text("SELECT 1"))
            together.wait(20)

    with ThreadPoolExecutor(IDLE) as threads:
        list(threads.map(use, range(IDLE)))
    yield made
    made.dispose()


@pytest.fixture
def asked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections of which it was asked whether they live."""
    found: list[object] = []
    ask = engine.dialect.do_ping

    def note(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
        found.append(connection)
        return ask(connection)

    monkeypatch.setattr(engine.dialect, "do_ping", note)
    return found


def _restart(server: EmbeddedPostgres) -> None:
    server.stop()
    server.start()


def _end_backends(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'agentcore'"
        ).fetchall()
    assert len(ended) == IDLE


@pytest.mark.parametrize("lose", [_restart, _end_backends])
@pytest.mark.parametrize("way", [sessions.transaction, sessions.autocommit])
def test_a_connection_that_the_server_closed_is_not_used(
    server: EmbeddedPostgres,
    engine: Engine,
    asked: list[object],
    way: Way,
    lose: Callable[[EmbeddedPostgres], None],
) -> None:
    lose(server)
    for _ in range(IDLE + 1):
        with way() as session:
            assert session.scalar(text("SELECT 42")) == 42
    assert len(asked) == 1  # what one of them had heard went for all


def test_a_connection_is_asked_only_after_it_was_quiet_for_long(
    asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        with sessions.transaction() as session:
            session.execute(text("SELECT 1"))
    assert asked == []
    monkeypatch.setattr(sessions, "QUIET_SECONDS", 0)
    with sessions.transaction() as session:
        session.execute(text("SELECT 1"))
    assert len(asked) == 1


def test_a_server_that_is_away_is_told_and_then_forgotten(
    server: EmbeddedPostgres, engine: Engine
) -> None:
    server.stop()
    for way in (sessions.transaction, sessions.autocommit):
        with pytest.raises(StoreUnavailableError), way() as session:
            session.execute(text("SELECT 1"))
    server.start()
    with sessions.transaction() as session:
        assert session.scalar(text("SELECT 42")) == 42


def test_a_login_that_is_refused_is_not_taken_for_a_server_that_is_away(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = make_url(server.app_url).set(password="wrong").render_as_string(hide_password=False)
    made = sessions.make_engine(wrong, pool_size=1)
    monkeypatch.setattr(sessions, "engine", lambda: made)
    with (
        pytest.raises(StoreUnavailableError, match="refuses the user or its password"),
        sessions.autocommit() as session,
    ):
        session.execute(text("SELECT 1"))
    made.dispose()


@pytest.mark.parametrize("way", [sessions.transaction, sessions.autocommit])
def test_a_connection_that_breaks_under_a_statement_is_told(engine: Engine, way: Way) -> None:
    with pytest.raises(StoreUnavailableError), way() as session:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_each_statement_is_a_transaction_of_its_own_and_the_next_user_has_one_again(
    engine: Engine,
) -> None:
    number = text("SELECT pg_current_xact_id()::text")
    with sessions.autocommit() as session:
        assert session.scalar(number) != session.scalar(number)
    with sessions.transaction() as session:
        assert session.scalar(number) == session.scalar(number)
