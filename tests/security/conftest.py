"""The attacked deployment."""

from collections.abc import Iterator

import docker
import pytest

from tests.harness import own_stack
from tests.security.adversarial.arena import Arena
from tests.security.adversarial.host import Canary

OUTPUT_TOTAL = 67_108_864  # bytes; the default is 1 GiB, and it is the cap that ends a flood


@pytest.fixture(scope="session")
def arena(
    sandbox_image: str, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    """A stack of its own: its profiles and caps are not those of the other tests'."""
    canary = Canary(tmp_path_factory.mktemp("canary"))
    with own_stack(
        tmp_path_factory.mktemp("arena"),
        image=sandbox_image,
        allowed_profiles='["minimal", "standard", "privileged"]',
        max_output_total_bytes=str(OUTPUT_TOTAL),
    ) as stack:
        try:
            yield Arena(stack=stack, api=stack.client("hostile"), engine=engine, canary=canary)
        finally:
            canary.close()
