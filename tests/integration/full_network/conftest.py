"""A host with an engine and a network of its own, without the rules and with them."""

from collections.abc import Iterator

import docker
import pytest

from tests.integration.full_network.host import (
    Restartable,
    made_host,
    make_network,
    without_rules,
)


@pytest.fixture(scope="module")
def host(
    engine: docker.DockerClient, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restartable]:
    """A host with the network, and no rules."""
    with made_host(tmp_path_factory.mktemp("engine"), engine, sandbox_image) as made:
        make_network(made)
        yield made


@pytest.fixture
def bare(host: Restartable) -> Iterator[Restartable]:
    """The host without rules."""
    with without_rules(host):
        yield host


@pytest.fixture
def ruled(bare: Restartable) -> Restartable:
    """The host with the rules in force."""
    code, told = bare.command("apply")
    assert (code, told["problems"]) == (0, [])
    return bare
