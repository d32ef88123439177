"""The profile `dev`: an API that reloads when its source changes, and a registry for images."""

import io
import tarfile
from collections.abc import Iterator

import docker
import httpx
import pytest

from tests.e2e.compose.deployment import Deployment
from tests.harness import wait_until

NEW_ROUTE = """

@router.get("/reloaded")
async def reloaded() -> Alive:
    return Alive()
"""
RELOAD_SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def development(deployment: Deployment) -> Iterator[None]:
    words = ("--profile", "dev", "up", "--detach", "--wait", "--no-deps", "api-dev", "registry")
    deployment.compose(*words)
    yield
    deployment.compose("--profile", "dev", "rm", "--stop", "--force", "api-dev", "registry")


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_change_of_the_source_is_served_without_a_restart(deployment: Deployment) -> None:
    started = deployment.container("api-dev").attrs["State"]["StartedAt"]
    assert answers(f"{deployment.reloading}/health")
    assert httpx.get(f"{deployment.reloading}/reloaded").status_code == 404
    with (deployment.source / "api/routes/health.py").open("a") as file:
        file.write(NEW_ROUTE)
    wait_until(lambda: answers(f"{deployment.reloading}/reloaded"), RELOAD_SECONDS, "the new route")
    assert deployment.container("api-dev").attrs["State"]["StartedAt"] == started


def test_an_image_goes_to_the_registry_and_comes_back(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    name = f"{deployment.registry}/{deployment.project}"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    engine.api.import_image_from_data(content.getvalue(), repository=name, tag="1")
    try:
        pushed = engine.images.push(name, tag="1")
        assert "error" not in pushed
        engine.images.remove(f"{name}:1")
        assert engine.images.pull(name, tag="1").tags == [f"{name}:1"]
    finally:
        engine.images.remove(f"{name}:1")
