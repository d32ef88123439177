"""Connections to PostgreSQL; one engine a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from models.errors import StoreUnavailableError
from models.settings import load_settings

CONNECT_TIMEOUT = 5  # seconds until an unreachable server counts as unavailable
STATEMENT_TIMEOUT = 15_000  # milliseconds; no statement of ours needs a tenth of it
# Milliseconds; a process that hangs inside a transaction loses its row locks: the sweep goes on.
# Longer than the longest wait for the broker inside one.
IDLE_TIMEOUT = 20_000
POOL_TIMEOUT = 10  # seconds to wait for a free connection


@lru_cache(maxsize=1)
def engine() -> Engine:
    """Return this process's engine, made at first use."""
    settings = load_settings()
    return create_engine(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_pre_ping=True,
        hide_parameters=True,  # or source, environment and stdin would reach the logs
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT} -c timezone=UTC"
            f" -c idle_in_transaction_session_timeout={IDLE_TIMEOUT}",
            "application_name": "agentcore",
        },
    )


@lru_cache(maxsize=1)
def _sessions() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """Run the block in one transaction; commit at its end, roll back when it raises.

    Raises StoreUnavailableError when the server cannot be reached or is going away.
    """
    try:
        with _sessions().begin() as session:
            yield session
    except (OperationalError, PoolTimeoutError) as error:
        raise StoreUnavailableError("the database does not answer") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailableError("the database connection broke") from error
        raise
