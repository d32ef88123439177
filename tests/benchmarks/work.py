"""What the platform asks of its database, called as its processes call it; no broker is told.

Importing this reads the settings: set AGENTCORE_DATABASE_URL and AGENTCORE_BROKER_URL first.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import psycopg

from api import metrics
from api.pages import encode_cursor
from api.routes import executions, records
from models import session as sessions
from models.execution import ExecutionRequest
from models.permissions import EVERYTHING
from models.sandbox import Outcome
from models.settings import load_settings
from models.status import Status
from tests.benchmarks import filling
from worker import claims, doorbell, janitor, outcomes, replies, retention, shares
from worker.submit import Caller, submit

WORKER = "w"
LEASE_SECONDS = 60
PAGE = 20  # executions of a list
REQUEST = ExecutionRequest(source="print(6 * 7)")
ISOLATION = {"inside": {"facts": ["as large as a real report"] * 80}, "missing": []}
OUTCOME = Outcome(status=Status.SUCCEEDED, exit_code=0, isolation=ISOLATION)
FIRST = Caller(tenant_id=filling.tenant(), permissions=EVERYTHING)
SAMPLE = "SELECT id FROM executions WHERE tenant_id = %s ORDER BY id LIMIT 500"
Verbs = dict[str, Callable[[], object]]  # by what they do
_NOW = datetime.now(UTC)
# Each finds a full page, or nothing at all, however many are filled: their times can be compared.
LISTS: dict[str, dict[str, Any]] = {
    "all": {},
    "all, far behind": {"cursor": encode_cursor(_NOW - timedelta(days=75), UUID(int=0))},
    "all, of ten days": {
        "created_after": _NOW - timedelta(days=40),
        "created_before": _NOW - timedelta(days=30),
    },
    "one status": {"status": Status.SUCCEEDED},
    "a status of three": {"status": Status.REJECTED},
    "a status of none": {"status": Status.QUEUED},
    "one agent": {"agent": "agent-0"},
    "an agent of none": {"agent": "nobody"},
    "one profile": {"security_profile": "minimal"},
    "a profile of none": {"security_profile": "privileged"},
    "a status and an agent": {"status": Status.SUCCEEDED, "agent": "agent-0"},
    "a status and an agent of none": {"status": Status.REJECTED, "agent": "agent-7"},
    "a status and a profile": {"status": Status.SUCCEEDED, "security_profile": "minimal"},
    "a status and a profile of none": {
        "status": Status.FAILED,
        "security_profile": "privileged",
    },
    "an agent and a profile": {"agent": "agent-0", "security_profile": "standard"},
    "an agent and a profile of none": {"agent": "agent-0", "security_profile": "privileged"},
    "everything": {
        "status": Status.SUCCEEDED,
        "agent": "agent-0",
        "security_profile": "standard",
        "created_after": _NOW - timedelta(days=80),
        "cursor": encode_cursor(_NOW - timedelta(days=1), UUID(int=0)),
    },
    "everything of none": {
        "status": Status.REJECTED,
        "agent": "agent-7",
        "security_profile": "minimal",
        "created_before": _NOW - timedelta(days=1),
        "cursor": encode_cursor(_NOW - timedelta(days=2), UUID(int=0)),
    },
}
_ANY = {
    "status": None, "agent": None, "security_profile": None, "created_after": None,
    "created_before": None, "limit": PAGE, "cursor": None,
}  # fmt: skip


class Store:
    """A filled database that this process can work on."""

    def __init__(self, url: str, owner_url: str) -> None:
        self.engine = sessions.make_engine(url, pool_size=1)
        self.heard: deque[UUID] = deque()  # what workers would have been told of
        self._owner_url = owner_url
        self._depth = 0
        with psycopg.connect(owner_url) as owner:
            found = owner.execute(SAMPLE, (FIRST.tenant_id,)).fetchall()
        self.ended = cycle([execution_id for (execution_id,) in found])

    def deepen(self, depth: int, *, each: int) -> None:
        """Let so many executions of the first tenant wait, and as many of others, `each` of one."""
        more, self._depth = depth - self._depth, depth
        with psycopg.connect(self._owner_url) as owner:
            filling.enqueue(owner, more, each)
        with self.in_use():
            shares.refill(FIRST.tenant_id)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let all that this process does in the block be done here."""
        with ExitStack() as ends:
            for place, name, instead in (
                (sessions, "engine", lambda: self.engine),
                (doorbell, "ring", lambda execution_id, _: self.heard.append(execution_id)),
                (janitor, "send_execute", lambda *_: True),
                (janitor, "_patience", _Patient()),
                (replies.app.backend, "store_result", lambda *_: None),
            ):
                ends.enter_context(patch.object(place, name, instead))
            yield


class _Patient:
    def saw_the_database(self, _settings: object) -> bool:
        return True


def steps(store: Store) -> Verbs:
    """Return the steps that take an execution from its submit to its end, to be done in order.

    While others wait, the one that is taken on is the next of them.
    """
    key = str(uuid4())
    done: dict[str, Any] = {}

    def send() -> None:
        done["made"] = submit(REQUEST, FIRST, idempotency_key=key).id

    def claim() -> None:
        done["next"] = store.heard.popleft()
        done["claim"] = claims.claim(done["next"], WORKER, LEASE_SECONDS)
        assert done["claim"] is not None

    def record() -> None:
        with patch.object(shares, "refill"):
            outcomes.record(done["claim"], OUTCOME)

    return {
        "submit": send,
        "the same submit again": lambda: submit(REQUEST, FIRST, idempotency_key=key),
        "get, queued": lambda: executions._load(done["made"], FIRST),
        "claim": claim,
        "start of the program": lambda: claims.start_user_code(done["claim"], ISOLATION),
        "renewal of a lease": lambda: claims.renew(WORKER, [done["next"]], LEASE_SECONDS),
        "outcome": record,
        "letting in the next": lambda: shares.refill(FIRST.tenant_id),
    }


def reads(store: Store) -> Verbs:
    """Return what reads one execution that has ended."""
    return {
        "get": lambda: executions._load(next(store.ended), FIRST),
        "events": lambda: records.events(next(store.ended), FIRST),
        "artifacts": lambda: records.artifacts(next(store.ended), FIRST),
    }


def page(caller: Caller = FIRST, **filters: Any) -> int:
    """Return how many executions a list of the caller's has."""
    return len(executions.list_executions(caller, **_ANY | filters).items)


def lists() -> Verbs:
    """Return what lists by each kind of filter."""
    return {f"list: {name}": partial(page, **filters) for name, filters in LISTS.items()}


def sweeps() -> Verbs:
    """Return what is done again and again, whether there is anything to do or not."""
    settings = load_settings()

    def expire() -> None:
        with sessions.transaction() as session:
            janitor._expire_leases(session, settings)

    return {
        "sweep": lambda: janitor.sweep(settings),
        "sweep: expired leases": expire,
        "sweep: what has room": shares.refill_all,
        "sweep: what is unheard": lambda: janitor._send_unheard(settings),
        "sweep: replies": replies.send_pending,
        "retention: executions": lambda: retention._batches("age_out_executions", 365),
        "retention: trails": lambda: retention._batches("age_out_audit_trails", 365),
        "metrics": metrics.render,
    }
