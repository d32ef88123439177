"""Addresses of services: what is taken, and that a refusal holds nothing of a password."""

import pytest
from pydantic import ValidationError

from models.settings import Settings

TAKEN = {"database_url": "postgresql://u:p@h/d", "broker_url": "redis://:p@h/0"}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss@h:5432/d",
        "postgresql+psycopg://u@h/d",
        "postgresql://u@/d?host=/run/postgres",
        "postgresql://[::1]:5432/d",
        "postgresql://h/d?user=me@server&password=a@b",
        "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/ca.pem",
        "unused://",
    ],
)
def test_databases(url):
    settings = Settings(**TAKEN | {"database_url": url, "database_owner_url": url})
    assert settings.database_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://:p@h:6380/1",
        "redis+socket://:p@/run/valkey.sock?virtual_host=0",
        "amqp://u:p@h:5672/vhost",
        "amqps://u:p@h//",
        "amqp://u:p@one;amqp://u:p@two",
        "amqp://u:p@one:5672;amqp://u:p@two:5672//",
    ],
)
def test_brokers(url):
    assert Settings(**TAKEN | {"broker_url": url}).broker_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", "mysql://u:hunter@h/d"),
        ("database_url", "postgresql://u:hunter@h:x/d"),
        ("database_url", "postgresql://u:hun/ter@h/d"),
        ("database_url", "postgresql://u:12/34@h/d"),
        ("database_url", "postgresql://[hunter/d"),
        ("database_url", "hunter"),
        ("database_url", "POSTGRESQL://u:hunter@h/d"),
        ("database_url", "postgresql:/hunter"),
        ("database_url", "postgresql://u:hunter@h/d?sslmod=require"),
        ("database_url", "postgresql://u:hunter@h/d?port=x"),
        ("broker_url", "amqp://u:hunter@a;redis://:hunter@b"),
        ("broker_url", "amqps://u:hunter@a;amqps://u:hunter@b"),
        ("broker_url", "amqp://u:hunter@a:x;amqp://b"),
        ("database_owner_url", ""),
        ("broker_url", "valkey://:hunter@h"),
        ("broker_url", "sentinel://hunter:26379"),
        ("broker_url", "redis://:hunter#x@h"),
        ("result_backend_url", "amqp://u:hunter@h"),
        ("result_backend_url", "rpc://"),
    ],
)
def test_a_refusal_says_the_form_and_holds_nothing_of_the_address(name, url):
    with pytest.raises(ValidationError) as caught:
        Settings(**TAKEN | {name: url})
    (error,) = caught.value.errors(include_input=False)
    assert error["loc"] == (name,)
    assert "must be postgresql://" in error["msg"] or "must be redis://" in error["msg"]
    assert not any(part in str(caught.value) for part in ("hunter", "ter@", "34", "26379"))
