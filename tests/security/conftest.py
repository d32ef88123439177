"""The attacked deployment."""

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest

from tests.harness import free_port, own_stack
from tests.security.adversarial.arena import Arena
from tests.security.adversarial.host import Canary

OUTPUT_TOTAL = 67_108_864  # bytes; the default is 1 GiB, and it is the cap that ends a flood


@pytest.fixture(scope="session")
def arena(
    sandbox_image: str, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    """A deployment with sandboxes that wait, as users have it."""
    with _arena(sandbox_image, engine, tmp_path_factory, pool_max="8") as made:
        yield made


@pytest.fixture(scope="session")
def cold_arena(
    sandbox_image: str, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    """One that starts a sandbox for each program."""
    with _arena(sandbox_image, engine, tmp_path_factory, pool_max="0") as made:
        yield made


@contextmanager
def _arena(
    image: str, engine: docker.DockerClient, folders: pytest.TempPathFactory, pool_max: str
) -> Iterator[Arena]:
    """A stack of its own: its profiles and caps are not those of the other tests'."""
    canary = Canary(folders.mktemp("canary"))
    with own_stack(
        folders.mktemp("arena"),
        image=image,
        allowed_profiles='["minimal", "standard", "privileged"]',
        max_output_total_bytes=str(OUTPUT_TOTAL),
        worker_metrics_port=str(free_port()),
        pool_size="1",
        pool_max=pool_max,
        pool_idle_seconds="600",
    ) as stack:
        try:
            yield Arena(stack=stack, api=stack.client("hostile"), engine=engine, canary=canary)
        finally:
            canary.close()
