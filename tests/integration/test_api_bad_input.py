"""What a client must not send: a clear refusal that names the field, and at once."""

import socket
import time
import uuid

import pytest

from tests.harness import Api, Stack, refused_fields


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"source": "1", "command": ["x"]}, "body"),
        ({"source": "1", "unknown": 1}, "unknown"),
        ({"source": "1", "security_profile": "root"}, "security_profile"),
        ({"source": "1", "security_profile": "privileged"}, "security_profile"),
        ({"source": "1", "image": "nothing"}, "image"),
        ({"source": "1", "priority": 10}, "priority"),
        (
            {"source": "1", "execution_limits": {"max_memory_mb": 1}},
            "execution_limits.max_memory_mb",
        ),
        (
            {"source": "1", "execution_limits": {"max_memory_mb": 999_999}},
            "execution_limits.max_memory_mb",
        ),
        (
            {"source": "1", "resource_limits": {"max_cpu_cores": 64}},
            "resource_limits.max_cpu_cores",
        ),
        ({"source": "1", "max_attempts": 9}, "max_attempts"),
        ({"source": "1", "allowed_hosts": ["not a host"]}, "allowed_hosts.0"),
        ({"source": "1", "allowed_hosts": ["127.0.0.1"]}, "allowed_hosts"),
        (
            {"source": "1", "resource_limits": {"network_access": "full"}},
            "resource_limits.network_access",
        ),
        ({"command": ["x"], "restricted_python": True}, "restricted_python"),
        ({"source": "\x00"}, "source"),
        ({"source": "1", "files": [{"path": "../x", "content": ""}]}, "files.0.path"),
        ({"source": "1", "files": [{"path": "main.py", "content": ""}]}, "files.0"),
        (
            {"source": "1", "files": [{"path": "a", "content": "%", "encoding": "base64"}]},
            "files.0",
        ),
        ({"source": "1", "environment": {"A B": "x"}}, "environment.A B.[key]"),
        ({"agent": "absent"}, "agent"),
    ],
)
def test_bad_input_names_the_field(api: Api, body: dict[str, object], field: str) -> None:
    answer = api.post("/v1/executions", json=body)
    assert answer.status_code == 422, answer.text
    assert refused_fields(answer) == {field}


def test_a_ceiling_is_named_in_the_error(api: Api) -> None:
    answer = api.post(
        "/v1/executions", json={"source": "1", "execution_limits": {"max_memory_mb": 4096}}
    )
    assert "4096 is above the operator's ceiling of 2048" in answer.json()["detail"]


def test_oversized_and_deep_bodies_are_refused(api: Api) -> None:
    large = api.post("/v1/executions", json={"source": "x" * 13_000_000})
    assert large.status_code == 413
    assert large.headers["content-type"] == "application/problem+json"
    typed = {"content-type": "application/json"}
    chunked = api.post("/v1/executions", content=iter([b"x" * 1_000_000] * 14), headers=typed)
    assert chunked.status_code == 413
    assert chunked.headers["content-type"] == "application/problem+json"
    for body in (b"[" * 100_000, b'{"a":' * 50_000, b'{"context": {"memory": {"a": ' + b"[" * 900):
        deep = api.post(
            "/v1/executions", content=body, headers={"content-type": "application/json"}
        )
        assert deep.status_code in (400, 422), deep.text
    nested: object = 1
    for _ in range(500):
        nested = [nested]
    answer = api.post("/v1/executions", json={"source": "1", "context": {"memory": {"a": nested}}})
    assert answer.status_code == 422, answer.text


def test_a_body_that_is_not_json_is_told_how_to_be(api: Api) -> None:
    body = b'{"source": "1",'
    untyped = api.post("/v1/executions", content=body)
    assert untyped.status_code == 415
    assert "application/json" in untyped.json()["detail"]
    broken = api.post("/v1/executions", content=body, headers={"content-type": "application/json"})
    assert broken.status_code == 422
    assert "not valid JSON at character 1" in broken.json()["detail"]


def test_a_body_of_a_million_values_is_refused_at_once(api: Api) -> None:
    for body in (b'{"command": [' + b"1," * 1_000_000 + b"1]}", b"[" + b"[]," * 1_000_000 + b"1]"):
        started = time.monotonic()
        answer = api.post(
            "/v1/executions", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 422
        assert "more than" in answer.json()["detail"]
        # Parsing and validating it takes tens of seconds.
        assert time.monotonic() - started < 5


def test_a_strangers_body_is_not_even_read(stack: Stack) -> None:
    head = b"POST /v1/executions HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stack.port), timeout=20) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("path", "unknown"),
    [
        ("/v1/executions?statuss=failed", "statuss"),
        ("/v1/executions?status=failed&limitt=5", "limitt"),
        ("/v1/executions/00000000-0000-4000-8000-000000000000?waits=1", "waits"),
        ("/v1/profiles?all=1", "all"),
        ("/v1/agents?name=x", "name"),
    ],
)
def test_a_query_parameter_that_a_route_does_not_take_is_refused(
    api: Api, path: str, unknown: str
) -> None:
    answer = api.get(path)
    assert answer.status_code == 422
    assert refused_fields(answer) == {unknown}
    assert "no such query parameter" in answer.json()["detail"]


def test_a_submit_with_an_unknown_query_parameter_accepts_nothing(api: Api) -> None:
    name = f"tried-{uuid.uuid4().hex[:8]}"
    headers = {"Idempotency-Key": name}
    # The latter are names of the route's own, but none of its query.
    for unknown in ("wiat", "idempotency_key", "body", "caller"):
        answer = api.post(f"/v1/executions?{unknown}=5", json={"source": "1"}, headers=headers)
        assert refused_fields(answer) == {unknown}
    again = api.post("/v1/executions", json={"source": "1"}, headers=headers)
    assert "Idempotency-Replayed" not in again.headers


def test_those_that_a_route_takes_are_taken(api: Api) -> None:
    query = {"status": "failed", "agent": "a", "security_profile": "standard", "limit": "5",
             "created_after": "2026-01-01T00:00:00Z"}  # fmt: skip
    assert api.get("/v1/executions", params=query).status_code == 200
