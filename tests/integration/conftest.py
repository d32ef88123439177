"""What several of these tests stand between a worker and its engine."""

from collections.abc import Iterator

import pytest

from tests.integration.engine_proxy import EngineProxy


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProxy]:
    """The engine as the workers see it."""
    made = EngineProxy(tmp_path_factory.mktemp("engine") / "docker.sock")
    yield made
    made.close()
