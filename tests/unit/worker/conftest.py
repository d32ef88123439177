"""What the worker's tests share: a sandbox's description made the way the worker makes it."""

from uuid import UUID

import pytest

from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve
from models.sandbox import build_spec
from models.settings import Settings

EXECUTION = UUID("12345678-1234-5678-1234-567812345678")


@pytest.fixture(scope="session")
def make_spec():
    """Return a function from a request's fields and settings to a SandboxConfig."""

    def make(body=None, **changes):
        values = {"database_url": "postgresql://x", "broker_url": "redis://x"}
        settings = Settings(**values | changes)
        request = merge_agent(ExecutionRequest.model_validate(body or {"source": "x"}), None)
        return build_spec(EXECUTION, 1, request, resolve(request, settings), settings)

    return make
