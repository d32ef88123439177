"""The row that a request becomes."""

from uuid import UUID

import pytest

from models.execution import ExecutionRequest
from models.permissions import EVERYTHING
from models.resolve import merge_agent, resolve
from models.settings import Settings
from models.status import Status
from tests.unit.storable import assert_jsonb
from worker.submit import AlreadyEndedError, Caller, _hash, _row

CALLER = Caller(tenant_id=UUID(int=1), permissions=EVERYTHING, api_key_id="key")
SETTINGS = Settings(database_url="postgresql://x", broker_url="redis://x")


def row(body):
    request = ExecutionRequest.model_validate(body)
    merged = merge_agent(request, None)
    return _row(request, merged, resolve(merged, SETTINGS), CALLER, None)


def test_the_profile_that_was_settled_is_stored():
    assert row({"source": "x"})["request"] == {"source": "x", "security_profile": "standard"}


def request_hash(body):
    return _hash(ExecutionRequest.model_validate(body))


def test_a_row_can_be_stored():
    made = row({"source": "é", "labels": {"a": "b"}, "context": {"memory": {"a": [1.5]}}})
    for column in ("request", "limits", "labels"):
        assert_jsonb(made[column])
    assert (made["tenant_id"], made["api_key_id"]) == (UUID(int=1), "key")
    assert made["max_attempts"] == 1


def test_the_order_of_names_makes_no_other_request():
    one = {"source": "x", "environment": {"A": "1", "B": "2"}, "priority": 3}
    other = {"priority": 3, "environment": {"B": "2", "A": "1"}, "source": "x"}
    assert request_hash(one) == request_hash(other)


@pytest.mark.parametrize(
    "change",
    [{"source": "y"}, {"labels": {"a": "b"}}, {"priority": 5}, {"args": ["x"]}, {"stdin": "x"}],
)
def test_another_value_makes_another_request(change):
    assert request_hash({"source": "x"}) != request_hash({"source": "x"} | change)


def test_an_ended_execution_is_told_with_its_status():
    assert AlreadyEndedError(Status.LOST).status is Status.LOST
    assert "lost" in str(AlreadyEndedError(Status.LOST))
