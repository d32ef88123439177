"""Looks past the API: the database, the container engine, a stack of two workers."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import psycopg
import pytest
from alembic.config import Config

from deploy.local.services import Services, start_services
from tests.harness import Stack, alembic_config, wait_until


@contextmanager
def bare_stack(directory: Path, image: str, **settings: str) -> Iterator[tuple[Stack, Services]]:
    """A stack without processes yet, and services of its own."""
    services = start_services(directory / "services", durable=False)
    try:
        stack = Stack(services, directory, image=image, **settings)
        stack.migrate()
        try:
            yield stack, services
        finally:
            stack.stop()
    finally:
        services.stop()


@contextmanager
def bare_database(services: Services, stack: Stack) -> Iterator[tuple[str, Config]]:
    """An empty database beside the stack's own: its owner's URL, and how Alembic migrates it.

    It is gone afterwards.
    """
    assert services.postgres is not None
    name = f"bare_{secrets.token_hex(4)}"
    url = services.postgres.url_for("agentcore_owner", name)
    with (
        psycopg.connect(services.postgres.admin_url, autocommit=True) as admin,
        pytest.MonkeyPatch.context() as environment,
    ):
        admin.execute(f"CREATE DATABASE {name} OWNER agentcore_owner")
        # The migrations read the settings, here in the test's own process.
        for variable, value in stack.environment.items():
            if variable.startswith("AGENTCORE_"):
                environment.setenv(variable, value)
        try:
            yield url, alembic_config(url)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def start_worker(stack: Stack, name: str, **settings: str) -> None:
    """Start one worker and wait until it reports for duty."""
    stack.start(name, **settings)
    wait_until(lambda: is_on_duty(stack, name), 30, f"the heartbeat of {name}")


def is_on_duty(stack: Stack, name: str) -> bool:
    """Whether the worker's heartbeat row is there."""
    worker = f"%:{stack.processes[name].pid}"
    query = "SELECT count(*) FROM worker_heartbeats WHERE worker_id LIKE %s"
    return bool(ask(stack, query, worker)[0])


def column(stack: Stack, name: str, execution_id: str) -> Any:
    """Return one column of an execution's row."""
    return ask(stack, f"SELECT {name} FROM executions WHERE id = %s", execution_id)[0]


def ask(stack: Stack, query: str, *values: Any) -> tuple[Any, ...]:
    """Return the first row that a query yields."""
    with psycopg.connect(stack.owner_url) as connection:
        row = connection.execute(query, values).fetchone()
    assert row is not None
    return row


def containers(engine: docker.DockerClient, stack: Stack, execution_id: str = "") -> list[Any]:
    """Return the stack's containers, or those of one execution; engine-side, ended ones too."""
    labels = [f"dev.agentcore.deployment={stack.environment['AGENTCORE_DEPLOYMENT']}"]
    if execution_id:
        labels.append(f"dev.agentcore.execution={execution_id}")
    found: list[Any] = engine.api.containers(all=True, filters={"label": labels})
    return found
