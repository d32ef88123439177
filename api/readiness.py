"""Whether executions can be accepted and run, part by part."""

from amqp.exceptions import AMQPError
from psycopg.errors import InsufficientPrivilege
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.exc import ProgrammingError

from api.cached import Cached
from models.errors import StoreUnavailableError
from models.session import autocommit
from models.settings import load_settings
from models.tables import SWEEP_ID, WorkerHeartbeat
from worker.app import BROKER_ERRORS, BROKER_TIMEOUT
from worker.app import app as celery

MISSED_HEARTBEATS = 4  # after which a worker counts as gone
CACHE_SECONDS = 1.0  # strangers may ask; the database and the broker are asked once a second
OK = "ok"
NO_SWEEP = (
    "nothing sweeps: start 'python -m worker control' and 'python -m worker beat'; "
    "without them nothing lost is found"
)
NO_TABLES = "the database lacks our tables: run 'python -m alembic upgrade head'"
NO_RIGHTS = (
    "the role lacks rights: run the migrations with AGENTCORE_DATABASE_APP_ROLE set to its name"
)
UNASKED = "not asked"
UNKNOWN = "unknown without the database"


class Readiness(BaseModel):
    """Whether executions can be accepted and run, part by part."""

    ready: bool
    database: str
    broker: str
    workers: str
    sweep: str


PARTS = ("database", "broker", "workers", "sweep")


def is_well(word: str) -> bool:
    """Whether what is said of a part is good."""
    return word.startswith(OK)


def check() -> Readiness:
    """Return what is known of all parts, from CACHE_SECONDS ago or now."""
    (database, workers, sweep), broker = _in_database.get(), _of_broker.get()
    return Readiness(
        ready=all(is_well(part) for part in (database, broker, workers, sweep)),
        database=database,
        broker=broker,
        workers=workers,
        sweep=sweep,
    )


def database_only() -> Readiness:
    """Return whether this API can serve; no part but the database is waited for."""
    database, workers, sweep = _in_database.get()
    return Readiness(
        ready=is_well(database), database=database, broker=UNASKED, workers=workers, sweep=sweep
    )


def _database_workers_sweep() -> tuple[str, str, str]:
    settings = load_settings()
    age = func.extract("epoch", func.now() - WorkerHeartbeat.heartbeat_at)
    try:
        with autocommit() as session:
            rows = session.execute(
                select(WorkerHeartbeat.worker_id, WorkerHeartbeat.engine_error, age)
            ).all()
    except StoreUnavailableError as error:
        return str(error), UNKNOWN, UNKNOWN
    except ProgrammingError as error:
        refused = isinstance(error.orig, InsufficientPrivilege)
        return NO_RIGHTS if refused else NO_TABLES, UNKNOWN, UNKNOWN
    missed = MISSED_HEARTBEATS * settings.heartbeat_seconds
    errors = [error for name, error, old in rows if name != SWEEP_ID and old < missed]
    missed = MISSED_HEARTBEATS * settings.sweep_seconds
    swept = any(name == SWEEP_ID and old < missed for name, _, old in rows)
    return OK, _workers(errors), OK if swept else NO_SWEEP


def _workers(errors: list[str | None]) -> str:
    able = errors.count(None)
    if able:
        return f"{OK}: {able} of {len(errors)} can start sandboxes"
    if errors:
        return "no worker can start sandboxes: the container engine does not answer"
    return "no worker is alive: start one with 'python -m worker run'"


def _broker() -> str:
    try:
        with celery.connection_for_write(
            connect_timeout=BROKER_TIMEOUT, transport_options=_impatient()
        ) as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT)
    except AMQPError:
        return "the broker refuses the user, its password or its virtual host"
    except BROKER_ERRORS:
        return "the broker does not answer"
    return OK


def _impatient() -> dict[str, object]:
    # Redis is otherwise given longer than a read that blocks, and whoever looks would wait for it.
    known = celery.conf.broker_transport_options
    return known | {"socket_timeout": BROKER_TIMEOUT} if known else {}


_in_database = Cached(_database_workers_sweep, CACHE_SECONDS)
_of_broker = Cached(_broker, CACHE_SECONDS)
