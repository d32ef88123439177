"""Retries and how answers become errors."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from agentcore_client import (
    ApiError,
    ConflictError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RequestInvalidError,
    RetryPolicy,
    ServerUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
    UnexpectedAnswerError,
)

EMPTY = {"items": []}


def problem(status, **members):
    headers = members.pop("headers", {})
    body = {"type": "about:blank", "title": "T", "status": status, "detail": "D"} | members
    headers = {"content-type": "application/problem+json", **headers}
    return httpx.Response(status, json=body, headers=headers)


def test_a_lost_connection_is_tried_again(api, client, clock):
    api.answer("GET", "/v1/profiles", httpx.ConnectError("x"), httpx.ReadError("x"), EMPTY)
    assert client.profiles() == ()
    assert len(api.requests) == 3
    assert len(clock.pauses) == 2
    assert clock.pauses[0] <= 0.25
    assert clock.pauses[1] <= 0.5


def test_retries_end(api, client):
    api.answer("GET", "/v1/profiles", httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailedError, match="after 3 tries: refused"):
        client.profiles()
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    ("status", "error"), [(503, ServerUnavailableError), (429, TooManyRequestsError)]
)
def test_retry_after_is_honoured(api, client, clock, status, error):
    api.answer("GET", "/v1/profiles", problem(status, headers={"Retry-After": "7"}))
    with pytest.raises(error):
        client.profiles()
    assert len(api.requests) == 3
    assert all(7 <= pause <= 8 for pause in clock.pauses)


def test_a_server_that_asks_for_too_long_is_not_waited_for(api, client, clock):
    api.answer("GET", "/v1/profiles", problem(429, headers={"Retry-After": "3600"}))
    with pytest.raises(TooManyRequestsError):
        client.profiles()
    assert len(api.requests) == 1


def test_retry_after_may_be_a_date():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    response = httpx.Response(503, headers={"Retry-After": soon})
    pause = RetryPolicy(base_seconds=0).pause(1, response)
    assert pause is not None
    assert 15 < pause <= 20


@pytest.mark.parametrize("value", ["soon", "-5", "", "٣"])
def test_an_unreadable_retry_after_is_ignored(value):
    response = httpx.Response(503, headers={"Retry-After": value.encode()})
    assert RetryPolicy(base_seconds=0).pause(1, response) == 0


def test_pauses_are_capped():
    policy = RetryPolicy(attempts=2000, max_seconds=3)
    assert all((policy.pause(tried, None) or 0) <= 3 for tried in range(1, 1000))


def test_a_submission_is_retried_under_one_idempotency_key(api, client, ended):
    api.answer("POST", "/v1/executions", httpx.ReadError("lost"), ended(status="queued"))
    client.submit(source="1")
    first, second = api.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    client.submit(source="1")
    assert api.requests[2].headers["idempotency-key"] != first.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestInvalidError),
        (401, UnauthorizedError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (413, RequestInvalidError),
        (422, RequestInvalidError),
        (418, ApiError),
        (500, ApiError),
    ],
)
def test_each_status_has_its_error_and_is_not_retried(api, client, status, error):
    api.answer("GET", "/v1/profiles", problem(status, request_id="req-1"))
    with pytest.raises(ApiError) as caught:
        client.profiles()
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.title, caught.value.detail) == (status, "T", "D")
    assert caught.value.request_id == "req-1"
    assert len(api.requests) == 1


def test_a_refused_field_is_named(api, client):
    errors = [{"field": "image", "message": "not in the catalogue"}]
    api.answer("POST", "/v1/executions", problem(422, errors=errors))
    with pytest.raises(RequestInvalidError, match="image: not in the catalogue") as caught:
        client.submit(source="1")
    assert caught.value.errors[0].field == "image"


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"[" * 100_000, b'{"title": 3, "errors": 4}'])
def test_an_error_without_a_problem_document_still_maps(api, client, body):
    api.answer("GET", "/v1/profiles", httpx.Response(404, content=body))
    with pytest.raises(NotFoundError, match="404 Not Found"):
        client.profiles()


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"items": 3}),
        httpx.Response(200, content=b'{"a":' * 100_000),
        httpx.Response(307, headers={"location": "https://elsewhere.test"}),
    ],
)
def test_what_is_not_this_api_is_named_so(api, client, response):
    api.answer("GET", "/v1/profiles", response)
    with pytest.raises(UnexpectedAnswerError):
        client.profiles()
    assert len(api.requests) == 1


def test_readiness_is_told_without_retries(api, client):
    api.answer("GET", "/health/ready", httpx.Response(503), httpx.Response(200))
    assert not client.ready()
    assert client.ready()
    assert len(api.requests) == 2
