"""The stack of docker-compose.yml for real. `make compose-test` runs these tests; `make test` does
not: they take some minutes, and need images that it does not make."""

import os
from collections.abc import Iterator

import docker
import pytest

from deploy.local.stack import LocalStack
from deploy.stackimages import ensure_images
from tests.e2e.compose.deployment import Deployment
from tests.harness import Api

if os.environ.get("COMPOSE_TEST") != "1":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def images(sandbox_image: str) -> dict[str, str]:
    """The names of all images, made where they were missing."""
    made = ensure_images(("service", "services"), LocalStack().state)
    return made | {"sandbox": sandbox_image}


@pytest.fixture(scope="session")
def deployment(
    engine: docker.DockerClient, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """All services, up and well; afterwards nothing of it may be left."""
    running = Deployment(engine, tmp_path_factory.mktemp("compose"), images)
    try:
        running.up()
        running.wait_ready()
        yield running
    finally:
        running.down()
    assert running.leftovers() == {}


@pytest.fixture(scope="session")
def published(deployment: Deployment) -> Api:
    """A client of the API at its published port."""
    return deployment.client("tests")
