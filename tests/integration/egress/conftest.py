"""Fixtures of the proxy's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.egress.support import ProxyThread
from tests.integration.egress.tls import Authority, make_authority


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[ProxyThread]:
    """A proxy in this process."""
    running = ProxyThread(tmp_path)
    yield running
    running.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority, and a server's certificate for a.test and 127.0.0.1."""
    return make_authority(tmp_path_factory.mktemp("authority"), "a.test", "b.test", "127.0.0.1")
