"""What the SDK sends, and how it waits and pages."""

from datetime import datetime, timedelta, timezone

import httpx
import pytest
from agentcore_client import (
    ExecutionRequest,
    InputFile,
    InvalidArgumentError,
    PermissionDeniedError,
    ResourceLimits,
    Status,
    WaitTimeoutError,
)


def test_only_given_fields_are_sent(api, client, ended):
    api.answer("POST", "/v1/executions", ended(status="queued"))
    request = ExecutionRequest(source="1", resource_limits=ResourceLimits(max_memory_mb=64))
    client.submit(request)
    assert api.bodies() == [{"source": "1", "resource_limits": {"max_memory_mb": 64}}]


def test_the_key_is_sent_as_a_bearer_token(api, client, ended, path):
    api.answer("GET", path(), ended())
    client.get(path().rsplit("/", 1)[1])
    assert api.requests[0].headers["authorization"] == "Bearer ac_public_s3cr3tpart"


@pytest.mark.parametrize(
    "fields",
    [{}, {"source": "1", "agent": "a"}, {"source": "1", "sauce": "2"}, {"source": "\x00"}],
)
def test_a_wrong_request_is_refused_before_it_is_sent(api, client, fields):
    with pytest.raises(InvalidArgumentError):
        client.submit(**fields)
    assert api.requests == []


def test_a_validation_error_does_not_repeat_values(client):
    with pytest.raises(InvalidArgumentError, match=r"environment\.TOKEN") as caught:
        client.submit(source="1", environment={"TOKEN": "hunter2\x00"})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__)


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_a_wrong_idempotency_key_is_refused(client, key):
    with pytest.raises(InvalidArgumentError, match="idempotency_key"):
        client.submit(source="1", idempotency_key=key)


@pytest.mark.parametrize("wrong", ["../agents/x", "1", ""])
def test_an_id_cannot_lead_to_another_path(client, wrong):
    with pytest.raises(InvalidArgumentError):
        client.get(wrong)


@pytest.mark.parametrize("wrong", ["..", "a/b", "A", "", "a\n", "a" * 64])
def test_an_agents_name_cannot_lead_to_another_path(client, wrong):
    with pytest.raises(InvalidArgumentError):
        client.get_agent(wrong)


def test_wait_polls_until_the_end(api, client, clock, ended, path):
    def wait_out(request):
        clock.now += float(request.url.params["wait"])
        return httpx.Response(200, json=ended(status="running", finished_at=None))

    api.answer("GET", path(), wait_out, wait_out, ended())
    assert client.wait(ended()["id"]).status is Status.SUCCEEDED
    assert [float(request.url.params["wait"]) for request in api.requests] == [30, 30, 30]


def test_wait_ends_after_its_timeout_by_the_monotonic_clock(api, client, clock, ended, path):
    def wait_out(request):
        clock.now += float(request.url.params["wait"])
        return httpx.Response(200, json=ended(status="running", finished_at=None))

    api.answer("GET", path(), wait_out)
    started = clock.now
    with pytest.raises(WaitTimeoutError, match="is running after 40 s") as caught:
        client.wait(ended()["id"], timeout=40)
    assert clock.now - started == pytest.approx(40)
    assert str(caught.value.execution.id) == ended()["id"]


def test_a_server_that_does_not_wait_is_not_flooded(api, client, clock, ended, path):
    api.answer("GET", path(), ended(status="queued", finished_at=None))
    with pytest.raises(WaitTimeoutError):
        client.wait(ended()["id"], timeout=10)
    assert len(api.requests) <= 22


def test_run_submits_and_waits_in_one_call(api, client, ended):
    api.answer("POST", "/v1/executions", ended())
    assert client.run(source="1").succeeded
    assert [dict(request.url.params) for request in api.requests] == [{"wait": "30.000"}]


def test_run_with_a_key_that_may_not_read_is_refused_and_not_empty(api, client, ended, path):
    api.answer("POST", "/v1/executions", ended(stdout=None, stderr=None))
    api.answer("GET", path(), httpx.Response(403, json={"detail": "this key may not read"}))
    with pytest.raises(PermissionDeniedError):
        client.run(source="1")


def test_run_goes_on_waiting_for_what_takes_longer(api, client, clock, ended, path):
    def wait_out(request):
        clock.now += float(request.url.params["wait"])
        return httpx.Response(200, json=ended(status="running", finished_at=None))

    api.answer("POST", "/v1/executions", wait_out)
    api.answer("GET", path(), wait_out, ended())
    assert client.run(source="1", timeout=70).succeeded
    waits = [float(request.url.params["wait"]) for request in api.requests]
    assert waits == [30, 30, 10]


def test_run_tells_the_whole_time_that_it_has_waited(api, client, clock, ended, path):
    def wait_out(request):
        clock.now += float(request.url.params["wait"])
        return httpx.Response(200, json=ended(status="running", finished_at=None))

    api.answer("POST", "/v1/executions", wait_out)
    api.answer("GET", path(), wait_out)
    with pytest.raises(WaitTimeoutError, match="40"):
        client.run(source="1", timeout=40)


def test_iterate_follows_cursors_and_keeps_filters(api, client, ended):
    pages = [
        {"items": [ended(), ended()], "next_cursor": "two"},
        {"items": [ended()], "next_cursor": None},
    ]
    api.answer("GET", "/v1/executions", *pages)
    assert len(list(client.iterate(status="succeeded"))) == 3
    params = [dict(request.url.params) for request in api.requests]
    assert params == [{"status": "succeeded"}, {"status": "succeeded", "cursor": "two"}]


def test_times_are_sent_with_their_zone(api, client):
    api.answer("GET", "/v1/executions", {"items": []})
    zone = timezone(timedelta(hours=2))
    client.list(created_after=datetime(2026, 1, 2, tzinfo=zone), limit=5)
    sent = dict(api.requests[0].url.params)
    assert datetime.fromisoformat(sent["created_after"]) == datetime(2026, 1, 2, tzinfo=zone)
    assert sent["limit"] == "5"


def test_unknown_fields_and_words_of_a_newer_server_are_no_error(api, client, ended, path):
    newer = ended(status="paused", reason="lunch", finished_at=None, network_access="mesh", news=1)
    api.answer("GET", path(), newer)
    execution = client.get(ended()["id"])
    assert (execution.status, execution.reason) == ("paused", "lunch")
    assert not execution.is_terminal
    assert execution.raw["news"] == 1


def test_bytes_that_are_not_text_travel_as_base64(api, client, ended, path, stream):
    file = InputFile.from_bytes("a.bin", b"\xff\x00")
    assert (file.content, file.encoding) == ("/wA=", "base64")
    api.answer("GET", path(), ended(stdout=stream("\ufffd", base64="/w==")))
    execution = client.get(ended()["id"])
    assert execution.stdout is not None
    assert execution.stdout.data == b"\xff"


def test_agents_are_put_read_listed_and_deleted(api, client):
    stored = {"name": "a", "version": 2, "config": {"source": "1"}, "created_at": "2026-01-02"}
    api.answer("PUT", "/v1/agents/a", httpx.Response(201, json=stored))
    api.answer("GET", "/v1/agents/a", stored)
    first = {"items": [stored | {"description": "d"}], "next_cursor": "a"}
    second = {"items": [stored | {"name": "b", "description": "e"}]}
    api.answer("GET", "/v1/agents", first, second)
    api.answer("DELETE", "/v1/agents/a", httpx.Response(204))
    assert client.put_agent("a", {"source": "1"}).version == 2
    assert client.get_agent("a", version=2).config == {"source": "1"}
    assert [agent.description for agent in client.list_agents()] == ["d", "e"]
    client.delete_agent("a")
    assert api.bodies() == [{"source": "1"}]
    assert api.requests[1].url.params["version"] == "2"


def test_a_broken_link_in_the_audit_trail_is_seen_whatever_the_server_says(api, client, path):
    def event(sequence, previous, own):
        return {
            "execution_id": path().rsplit("/", 1)[1],
            "sequence": sequence,
            "kind": "submitted",
            "recorded_at_us": 1,
            "data": {},
            "hash": own,
            "previous_hash": previous,
        }

    whole = [event(1, "00", "aa"), event(2, "aa", "bb")]
    api.answer(
        "GET",
        path("events"),
        {"items": whole, "intact": True},
        {"items": [whole[0], event(2, "cc", "bb")], "intact": True},
        {"items": [whole[0], event(3, "aa", "bb")], "intact": True},
        {"items": whole, "intact": False, "broken_at": 2},
    )
    trails = [client.events(path().rsplit("/", 1)[1]) for _ in range(4)]
    assert [trail.first_broken for trail in trails] == [None, 2, 3, 2]
