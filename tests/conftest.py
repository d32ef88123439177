"""Fixtures shared by all tests that need real parts. A missing part skips here, fails in CI."""

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from deploy.local.services import Services, start_services
from tests.harness import Api, Stack, missing
from tests.security.adversarial.summary import pytest_sessionfinish  # noqa: F401 - a hook

# What modules read at import leads nowhere: a test that needs a service gets its own.
for name in [name for name in os.environ if name.startswith("AGENTCORE_")]:
    del os.environ[name]
os.environ["AGENTCORE_DATABASE_URL"] = "postgresql://nobody@/nothing?host=/nonexistent"
os.environ["AGENTCORE_BROKER_URL"] = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """A client of the container engine."""
    try:
        client = docker.from_env(timeout=30)
        client.ping()
    except docker.errors.DockerException as error:
        missing(f"no container engine answers ('make test' starts one): {error}")
    return client


@pytest.fixture(scope="session")
def sandbox_image(engine: docker.DockerClient) -> str:
    """The name of the sandbox image."""
    name = "agentcore/sandbox:dev"
    try:
        engine.images.get(name)
    except docker.errors.ImageNotFound:
        missing(f"no image {name} ('make test' builds it)")
    return name


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Real PostgreSQL and Valkey, empty, for this test process alone."""
    pair = start_services(tmp_path_factory.mktemp("services"), durable=False)
    yield pair
    pair.stop()


@pytest.fixture(scope="session")
def stack(
    services: Services, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The whole stack, migrated and ready."""
    running = Stack(services, tmp_path_factory.mktemp("stack"), image=sandbox_image)
    running.migrate()
    running.start("api", "run", "control", "beat")
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def tenant_api(stack: Stack) -> Api:
    """One tenant's client, shared by the tests that do not care whose it is."""
    return stack.client("shared")


@pytest.fixture
def api(tenant_api: Api, stack: Stack) -> Api:
    """The shared tenant's client, once the stack's processes are known to live."""
    stack.wait_ready()
    return tenant_api


@pytest.fixture
def examples() -> Path:
    """The folder of example programs."""
    return Path(__file__).resolve().parent.parent / "examples"
