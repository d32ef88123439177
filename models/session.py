"""Connections to PostgreSQL; one engine a process."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from models import urls
from models.errors import SettingsError, StoreUnavailableError
from models.settings import load_settings

CONNECT_TIMEOUT = 5  # seconds until an unreachable server counts as unavailable
STATEMENT_TIMEOUT = 15_000  # milliseconds; no statement of ours needs a tenth of it
# Milliseconds; a process that hangs inside a transaction loses its row locks: the sweep goes on.
# Longer than the longest wait for the broker inside one.
IDLE_TIMEOUT = 20_000
OPTIONS = {
    "statement_timeout": STATEMENT_TIMEOUT,
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT,
    "timezone": "UTC",
    # Planned once, for whatever values: a plan that changes with them changes at the wrong time.
    # tests/integration/test_query_plans.py holds that each of our statements has a good one.
    "plan_cache_mode": "force_generic_plan",
}
POOL_TIMEOUT = 10  # seconds to wait for a free connection
# Seconds; a connection that was idle for longer is asked first: a firewall on the way may have
# forgotten it without a word. They do so after minutes.
QUIET_SECONDS = 30.0


@lru_cache(maxsize=1)
def engine() -> Engine:
    """Return this process's engine, made at first use. Raises SettingsError."""
    settings = load_settings()
    if urls.scheme(settings.database_url) == urls.UNUSED:
        raise SettingsError("AGENTCORE_DATABASE_URL: this process needs one")
    return make_engine(
        settings.database_url.get_secret_value(), pool_size=settings.database_pool_size
    )


def make_engine(url: str, *, pool_size: int) -> Engine:
    """Return an engine with at most so many connections to the database at `url`."""
    made = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_use_lifo=True,  # as few connections as will do, with all statements prepared on them
        hide_parameters=True,  # or source, environment and stdin would reach the logs
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "options": " ".join(f"-c {name}={value}" for name, value in OPTIONS.items()),
            "application_name": "agentcore",
        },
    )
    _look_before_use(made)
    return made


def _look_before_use(engine: Engine) -> None:
    """Let the engine's pool hand out no connection that its server has closed.

    A server that goes away says so, and its word waits in the socket: no round trip is needed to
    see it. Only then, and after QUIET_SECONDS, the server is asked.
    """

    def note(_connection: object, record: Any) -> None:
        record.info["returned"] = time.monotonic()

    def look(connection: Any, record: Any, _fairy: object) -> None:
        returned = record.info.get("returned")  # none: it was made just now
        if returned is None or _is_quiet(connection, returned):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            # The others go, too: a new one is made, or the failure to make it is told.
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", look)


def _is_quiet(connection: Any, returned: float) -> bool:
    if connection.closed or time.monotonic() - returned > QUIET_SECONDS:
        return False
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    return not socket.poll(0)


@lru_cache(maxsize=1)
def _autocommitting(made: Engine) -> Engine:
    """Return a view of an engine, with the same connections, that begins no transactions."""
    return made.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def transaction() -> Iterator[Session]:
    """Run the block in one transaction; commit at its end, roll back when it raises.

    Raises StoreUnavailableError when the server cannot be reached or is going away.
    """
    with _told(), Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def autocommit() -> Iterator[Session]:
    """Run each statement of the block in a transaction of its own: one round trip each.

    For what is read, and for what a single statement changes. Raises StoreUnavailableError.
    """
    with _told(), Session(_autocommitting(engine())) as session:
        yield session


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (OperationalError, PoolTimeoutError) as error:
        # Where the server refuses a login it says so by words alone, without a code.
        refused = "authentication failed" in str(error)
        why = "refuses the user or its password" if refused else "does not answer"
        raise StoreUnavailableError(f"the database {why}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailableError("the database connection broke") from error
        raise
