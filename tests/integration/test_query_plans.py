"""Every statement finds its rows by the index that is meant, whatever values it is planned for.

The statements are those that the code runs: they are recorded while it does, and explained.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import event, text

from api.pages import Wanted, newest
from models import session as sessions
from models.security import ProfileName
from models.status import Status
from tests.benchmarks import filling, work
from tests.harness import Stack
from tests.integration.facts import bare_stack
from tests.integration.plans import LARGE, Connection, Statement, is_whole, nodes
from worker import claims, heartbeats, retention
from worker import submit as submitting

STORED = 20_000  # enough for a look at all of them to cost far more than any index
QUEUED, EACH = 200, 10  # of one tenant; and as many of others
SCANS = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY(%s)"

MEANT = {
    "submit": "uq_executions_tenant_id_idempotency_key",
    "the same submit again": "uq_executions_tenant_id_idempotency_key",
    "submit by Celery": "pk_audit_events pk_executions",
    "get, queued": "pk_executions pk_artifacts",
    "get": "pk_executions pk_artifacts",
    "events": "pk_executions pk_audit_events",
    "artifacts": "pk_executions pk_artifacts",
    "claim": "pk_executions",
    "start of the program": "pk_executions",
    "renewal of a lease": "ix_executions_lease_owner",
    "outcome": "pk_executions",
    "sweep": "ix_executions_lease_owner ix_executions_held ix_executions_released "
    "ix_executions_queued pk_executions ix_executions_reply_pending",
    "sweep: expired leases": "ix_executions_lease_owner",
    "sweep: what has room": "ix_executions_held ix_executions_released",
    "sweep: what is unheard": "ix_executions_queued pk_executions",
    "sweep: replies": "ix_executions_reply_pending",
    "metrics": "ix_executions_released ix_executions_held ix_executions_lease_owner",
    "cancel": "pk_executions",
    "a reply": "ix_executions_reply_pending pk_executions pk_artifacts",
    "hand back": "pk_executions",
    "a lease that ran out": "pk_executions",
    "its expiry": "ix_executions_lease_owner pk_executions",
    "is it held": "pk_executions",
    "decline": "pk_executions",
    # These read none of the large tables, or by functions: their scans are counted.
    "letting in the next": "",
    "heartbeat": "",
    "retention: executions": "",
    "retention: trails": "",
    "old executions": "",
    "old trails": "",
} | {
    f"list: {name}": f"ix_executions_by_{'agent' if 'agent' in filters else 'status'} pk_executions"
    for name, filters in work.LISTS.items()
}

PAGE = 150  # executions; some lists have many pages
PLAIN = """
SELECT id FROM executions WHERE tenant_id = %(tenant_id)s
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(agent)s::text IS NULL OR agent_name = %(agent)s)
    AND (%(security_profile)s::text IS NULL OR security_profile = %(security_profile)s)
    AND created_at > %(created_after)s
ORDER BY created_at DESC, id DESC
"""

Scans = dict[str, int]  # by table
Recorded = dict[str, list[Statement]]  # by what was done


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A filled database, without processes."""
    with bare_stack(tmp_path_factory.mktemp("plans"), "unused") as (made, _):
        filling.fill(made.owner_url, STORED)
        yield made


@pytest.fixture(scope="module")
def store(stack: Stack) -> Iterator[work.Store]:
    made = work.Store(stack.environment["AGENTCORE_DATABASE_URL"], stack.owner_url)
    made.deepen(QUEUED, each=EACH)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def scans(stack: Stack, store: work.Store) -> Scans:
    """How often each large table was read from end to end before the code ran."""
    return _scans(stack)


@pytest.fixture(scope="module")
def recorded(store: work.Store, scans: Scans) -> Recorded:
    """All that the code asks of the database."""
    statements: Recorded = defaultdict(list)
    doing = ""

    def note(*given: Any) -> None:
        _connection, _cursor, words, values, *_ = given
        if not words.startswith("SET"):
            statements[doing].append((words, values))

    event.listen(store.engine, "before_cursor_execute", note)
    with store.in_use():
        for name, verb in _verbs(store).items():
            doing = name
            verb()
    event.remove(store.engine, "before_cursor_execute", note)
    return statements


def _verbs(store: work.Store) -> work.Verbs:
    usual = work.steps(store) | work.reads(store) | work.lists() | work.sweeps()
    return usual | _rare(store)


def _rare(store: work.Store) -> work.Verbs:
    """Return what is done less often, in the order in which it can be done."""
    caller = work.FIRST
    named = uuid4()

    def claim(seconds: float = 60) -> claims.Claim:
        found = claims.claim(store.heard.popleft(), "other", seconds)
        assert found is not None
        return found

    def hand_back() -> None:
        claims.hand_back(claim(), "start_failed", "why", counts=True, max_failed_starts=9)

    return {
        "submit by Celery": lambda: submitting.submit(
            work.REQUEST, caller, execution_id=named, reply=True
        ),
        "cancel": lambda: submitting.cancel(named, caller),
        "a reply": work.sweeps()["sweep: replies"],
        "hand back": hand_back,
        "a lease that ran out": lambda: claim(-1),
        "its expiry": work.sweeps()["sweep: expired leases"],
        "is it held": lambda: claims.is_held(named, 1),
        "decline": lambda: claims.decline(named, 5),
        "heartbeat": lambda: heartbeats.report_worker(
            "w", host="h", slots=1, running=0, engine_error=None
        ),
        "old executions": lambda: retention._batches("age_out_executions", filling.DAYS - 1),
        "old trails": lambda: retention._batches("age_out_audit_trails", filling.DAYS - 1),
    }


@pytest.fixture
def connection(stack: Stack) -> Iterator[Connection]:
    """As the owner, who may drop what an answer should depend on."""
    with psycopg.connect(stack.owner_url, prepare_threshold=None) as made:
        yield made
        made.rollback()


def test_planned_for_any_values_each_statement_uses_the_index_that_is_meant(
    connection: Connection, recorded: Recorded
) -> None:
    assert _used(connection, recorded) == {name: set(MEANT[name].split()) for name in recorded}


@pytest.mark.parametrize("generic", [True, False], ids=["for any values", "for these values"])
def test_no_statement_reads_a_large_table_or_index_whole(
    connection: Connection, recorded: Recorded, generic: bool
) -> None:
    assert _whole(connection, recorded, generic=generic) == []


def test_nor_do_the_functions_and_triggers_of_the_database(
    stack: Stack, store: work.Store, recorded: Recorded, scans: Scans
) -> None:
    assert recorded["old executions"]
    with store.engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    assert _scans(stack) == scans


@pytest.mark.parametrize("index", ["by_status", "by_agent", "queued", "lease_owner", "held"])
def test_an_index_that_is_not_there_is_missed(
    connection: Connection, recorded: Recorded, index: str
) -> None:
    connection.execute(f"DROP INDEX ix_executions_{index}")
    assert any(_used(connection, recorded)[name] != set(MEANT[name].split()) for name in recorded)


def _scans(stack: Stack) -> Scans:
    with psycopg.connect(stack.owner_url) as connection:
        return dict(connection.execute(SCANS, (list(LARGE),)).fetchall())


@pytest.mark.parametrize("status", [None, Status.QUEUED, Status.FAILED, Status.REJECTED])
@pytest.mark.parametrize("agent", [None, "agent-0", "nobody"])
@pytest.mark.parametrize("profile", [None, "minimal", "privileged"])
def test_a_list_finds_what_a_plain_query_finds(
    connection: Connection,
    store: work.Store,
    status: Status | None,
    agent: str | None,
    profile: ProfileName | None,
) -> None:
    wanted = Wanted(
        tenant_id=work.FIRST.tenant_id,
        status=status,
        agent=agent,
        security_profile=profile,
        created_after=datetime.now(UTC) - timedelta(days=60),
    )
    asked = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    plain = [row for (row,) in connection.execute(PLAIN, asked).fetchall()]
    found: list[UUID] = []
    with store.in_use(), sessions.autocommit() as session:
        while page := newest(session, wanted, PAGE):
            found += [row.id for row in page]
            wanted = replace(wanted, after=(page[-1].created_at, page[-1].id))
    assert found == plain


def _used(connection: Connection, recorded: Recorded) -> dict[str, set[str]]:
    """Return the indexes of the large tables that are used for any values, by what was done."""
    return {
        name: {
            node["Index Name"]
            for node in nodes(connection, statements, generic=True)
            if any(table in node.get("Index Name", "") for table in LARGE)
        }
        for name, statements in recorded.items()
    }


def _whole(connection: Connection, recorded: Recorded, *, generic: bool) -> list[str]:
    """Return what reads a large table, or an index of all its rows, from end to end."""
    return [
        f"{name}: {node['Node Type']} of {node.get('Index Name') or node['Relation Name']}"
        for name, statements in recorded.items()
        for node in nodes(connection, statements, generic=generic)
        if is_whole(node)
    ]
