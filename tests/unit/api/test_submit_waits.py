"""A submit that waits misses no end, however soon that comes."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from fastapi import Response

from api.routes import executions
from models.errors import RequestRefusedError, StoreUnavailableError
from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve
from models.settings import Settings
from worker.submit import Submitted

REQUEST = ExecutionRequest(source="1")
SETTINGS = Settings(database_url="unused://", broker_url="unused://")
LONG = 60  # seconds; nothing here waits for them


class Waiters:
    """Knows who waits; whoever ends an execution wakes them."""

    def __init__(self):
        self.events: dict[UUID, asyncio.Event] = {}

    @contextmanager
    def register(self, execution_id):
        event = self.events[execution_id] = asyncio.Event()
        try:
            yield event
        finally:
            del self.events[execution_id]


@pytest.fixture
def waiters():
    return Waiters()


@pytest.fixture
def submit(waiters, monkeypatch):
    """Submits with a wait; `meanwhile` is done in the place of worker.submit."""
    asked = []
    monkeypatch.setattr(executions, "_receipt", lambda execution_id, _caller: execution_id)
    monkeypatch.setattr(
        executions, "_has_ended", lambda execution_id, _caller: asked.append(execution_id) or True
    )
    request = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(waiters=waiters)))

    def call(meanwhile, wait=LONG):
        monkeypatch.setattr(executions.submitting, "submit", meanwhile)
        response = Response()
        found = asyncio.run(
            asyncio.wait_for(
                executions.submit(REQUEST, None, request, response, wait=wait), LONG / 2
            )
        )
        return found, response, asked

    return call


def test_an_end_that_comes_during_the_submit_is_not_missed(submit, waiters):
    def meanwhile(_body, _caller, *, idempotency_key, new_id):
        waiters.events[new_id].set()
        return Submitted(id=new_id, is_new=True)

    found, response, asked = submit(meanwhile)
    assert response.headers["Location"] == f"/v1/executions/{found}"
    assert asked == [], "nobody needs to ask whether it has ended"
    assert waiters.events == {}


def test_what_was_submitted_before_is_looked_for(submit, waiters):
    earlier = uuid4()

    def meanwhile(_body, _caller, *, idempotency_key, new_id):
        return Submitted(id=earlier, is_new=False)

    found, response, asked = submit(meanwhile)
    assert (found, asked) == (earlier, [earlier])
    assert response.headers["Idempotency-Replayed"] == "true"
    assert waiters.events == {}


def test_without_a_wait_nobody_registers(submit, waiters):
    def meanwhile(_body, _caller, *, idempotency_key, new_id):
        assert waiters.events == {}
        return Submitted(id=new_id, is_new=True)

    submit(meanwhile, wait=0)


def test_what_was_accepted_is_told_though_the_database_went_away_meanwhile(
    submit, waiters, monkeypatch
):
    def away(*_):
        raise StoreUnavailableError("the database does not answer")

    def meanwhile(_body, _caller, *, idempotency_key, new_id):
        monkeypatch.setattr(executions, "_receipt", away)
        row = {
            "id": new_id,
            "created_at": datetime(2026, 1, 2, tzinfo=UTC),
            "labels": {"team": "a"},
            "limits": resolve(merge_agent(REQUEST, None), SETTINGS).limits.model_dump(mode="json"),
            "priority": 4,
            "security_profile": "standard",
            "image": "python",
            "network_access": "none",
            "max_attempts": 1,
        }
        return Submitted(id=new_id, is_new=True, row=row)

    found, response, _ = submit(meanwhile, wait=0.01)
    assert (found.status, found.attempt, found.labels) == ("queued", 0, {"team": "a"})
    assert response.headers["Location"] == f"/v1/executions/{found.id}"


def test_a_refused_submit_leaves_nobody_waiting(submit, waiters):
    def meanwhile(_body, _caller, *, idempotency_key, new_id):
        assert new_id in waiters.events
        raise RequestRefusedError("agent", "no such agent")

    with pytest.raises(RequestRefusedError):
        submit(meanwhile)
    assert waiters.events == {}
