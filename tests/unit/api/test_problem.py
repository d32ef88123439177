"""Every error is a problem document, and nothing a stranger sends makes it an error of ours."""

import json
from uuid import UUID

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from api import errors, guard
from api.app import create_app
from models.errors import (
    ConflictError,
    NotFoundError,
    RequestRefusedError,
    StoreUnavailableError,
)
from models.permissions import EVERYTHING
from models.status import Status
from worker.submit import AlreadyEndedError, Caller


def call(app, method, path, **more):
    """Return the answer of the application, without a server or a network."""

    async def send():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **more)

    return anyio.run(send)


def assert_problem(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == errors.MEDIA_TYPE
    body = answer.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert "Traceback" not in answer.text
    return body


def failing(error):
    app = FastAPI()
    errors.install(app)

    @app.get("/")
    def fail():
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestRefusedError("image", "is unknown"), 422),
        (NotFoundError("no such agent"), 404),
        (ConflictError("used before"), 409),
        (AlreadyEndedError(Status.LOST), 409),
        (StoreUnavailableError("the database does not answer"), 503),
        (HTTPException(413, "too large"), 413),
        (HTTPException(418, "a teapot"), 418),
        (RuntimeError("secret inner words"), 500),
        (KeyError("secret inner words"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_every_error_leaves_as_a_problem(error, status):
    answer = call(failing(error), "GET", "/")
    body = assert_problem(answer, status)
    if status == 500:
        assert "secret inner words" not in answer.text
    if isinstance(error, RequestRefusedError):
        assert body["errors"] == [{"field": "image", "message": "is unknown"}]
    if isinstance(error, AlreadyEndedError):
        assert body["execution_status"] == "lost"


def test_headers_say_what_to_do_next():
    assert call(create_app(), "GET", "/v1/profiles").headers["www-authenticate"]
    assert call(failing(StoreUnavailableError("x")), "GET", "/").headers["retry-after"]


def test_the_schema_of_a_problem_is_in_every_documented_answer():
    for status, entry in errors.responses(401, 404, 422, 503).items():
        assert entry["description"]
        assert errors.MEDIA_TYPE in entry["content"], status


# --- The whole application, up to the database -------------------------------------------------


@pytest.fixture
def app(monkeypatch):
    caller = Caller(tenant_id=UUID(int=1), permissions=EVERYTHING)
    monkeypatch.setattr(guard, "authenticate", lambda _header: caller)
    return create_app()


def test_a_caller_without_a_key_is_told_how_to_get_one():
    body = assert_problem(call(create_app(), "POST", "/v1/executions", json={}), 401)
    assert "keys create" in body["detail"]


BODIES = {
    "nothing": b"",
    "no JSON": b"x",
    "no UTF-8": b"\xff",
    "half": b'{"source":',
    "a list": b"[]",
    "NaN": b"NaN",
    "deep": b"[" * 100_000,
    "deep and closed": b'{"source":"x","context":{"memory":{"a":'
    + b"[" * 900
    + b"]" * 900
    + b"}}}",
    "huge integer": b'{"source":"x","priority":' + b"9" * 5000 + b"}",
    "infinite": b'{"source":"x","execution_limits":{"max_memory_mb":1e999}}',
    "NUL": b'{"source":"\\u0000"}',
    "NUL in a name": b'{"source":"x","context":{"memory":{"\\u0000":1}}}',
    "NUL in an unknown field": b'{"source":"x","\\u0000":1}',
    "surrogate in the source": b'{"source":"\\ud800"}',
    "surrogate in a value": b'{"source":"x","context":{"memory":{"a":"\\ud800"}}}',
    "surrogate in a name": b'{"source":"x","context":{"memory":{"\\ud800":1}}}',
    "surrogate in a label": b'{"source":"x","labels":{"\\ud800":"x"}}',
    "surrogate in an unknown field": b'{"source":"x","\\ud800":1}',
    "surrogate in a block": b'{"source":"x","allowed_hosts":["fe80::1%\\ud800/64"]}',
    "surrogate in a host": b'{"source":"x","allowed_hosts":["\\ud800"]}',
    "surrogate in a path": b'{"source":"x","files":[{"path":"\\ud800","content":""}]}',
    "surrogate in stdin": b'{"source":"x","stdin":"\\ud800"}',
    "surrogate in base64": b'{"source":"x","stdin":"\\ud800","stdin_encoding":"base64"}',
    "long unknown field": json.dumps({"source": "x", "u" * 100_000: 1}).encode(),
    "many unknown fields": json.dumps({"source": "x"} | {f"u{n}": 1 for n in range(999)}).encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_of_a_stranger_is_an_error_of_ours(app, name):
    answer = call(
        app, "POST", "/v1/executions", content=BODIES[name],
        headers={"content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code in (400, 422), answer.text[:300]
    body = assert_problem(answer, answer.status_code)
    assert len(answer.content) < 20_000
    assert len(body.get("errors", [])) <= errors.MAX_ERRORS


@pytest.mark.parametrize("name", BODIES)
def test_no_agent_of_a_stranger_is_an_error_of_ours(app, name):
    answer = call(
        app, "PUT", "/v1/agents/a", content=BODIES[name],
        headers={"content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code in (400, 422), answer.text[:300]
    assert_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/executions?cursor=x", "cursor"),
        ("/v1/executions?cursor=%00", "cursor"),
        ("/v1/executions?cursor=" + "A" * 201, "cursor"),
        ("/v1/executions?limit=0", "limit"),
        ("/v1/executions?limit=201", "limit"),
        ("/v1/executions?limit=1e400", "limit"),
        ("/v1/executions?status=done", "status"),
        ("/v1/executions?agent=A%00", "agent"),
        ("/v1/executions?security_profile=root", "security_profile"),
        ("/v1/executions?created_after=yesterday", "created_after"),
        ("/v1/executions?created_after=2026-01-01T00:00:00", "created_after"),
        ("/v1/executions?created_before=2026-01-01", "created_before"),
        ("/v1/executions/x", "execution_id"),
        (f"/v1/executions/{UUID(int=1)}?wait=-1", "wait"),
        (f"/v1/executions/{UUID(int=1)}?wait=nan", "wait"),
        (f"/v1/executions/{UUID(int=1)}?wait=inf", "wait"),
        (f"/v1/executions/{UUID(int=1)}?wait=61", "wait"),
        ("/v1/agents/A", "name"),
        ("/v1/agents/a%0a", "name"),
        ("/v1/agents/a?version=0", "version"),
        ("/v1/agents/a?version=2147483648", "version"),
        (f"/v1/executions/{UUID(int=1)}/artifacts/{'a' * 256}", "path"),
    ],
)
def test_a_query_that_is_refused_names_its_parameter(app, path, field):
    body = assert_problem(call(app, "GET", path), 422)
    assert field in body["errors"][0]["field"]


@pytest.mark.parametrize("key", ["", "a b", "é".encode("latin-1"), "a" * 256, "a\tb"])
def test_an_idempotency_key_of_another_alphabet_is_refused(app, key):
    answer = call(
        app, "POST", "/v1/executions", json={"source": "x"}, headers={"Idempotency-Key": key}
    )
    assert_problem(answer, 422)


def test_an_unknown_path_and_method_are_problems_too(app):
    assert_problem(call(app, "GET", "/nothing"), 404)
    assert_problem(call(app, "PATCH", "/v1/executions"), 405)


def test_a_body_over_the_limit_is_refused(app):
    answer = call(app, "POST", "/v1/executions", content=b"x" * 13_000_000)
    assert_problem(answer, 413)


def test_a_problem_carries_the_id_of_its_request(app):
    answer = call(app, "GET", "/nothing", headers={"X-Request-ID": "my-id.1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "my-id.1"


@pytest.mark.parametrize("given", ["", "a b", "é".encode("latin-1"), "a" * 65, "<x>", b"a\n"])
def test_a_request_id_that_is_not_sane_is_replaced(app, given):
    answer = call(app, "GET", "/health", headers={"X-Request-ID": given})
    assert len(answer.headers["x-request-id"]) == 32


def test_health_needs_no_service(app):
    assert call(app, "GET", "/health").json() == {"status": "ok"}
