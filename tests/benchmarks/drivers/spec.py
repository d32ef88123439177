"""The sandbox of the usual program, as a worker would be asked for it, without a stack."""

from uuid import uuid4

from docker import APIClient
from pydantic import SecretStr

from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve
from models.sandbox import SandboxConfig, build_spec
from models.settings import Settings
from tests.benchmarks.drivers.loop import SOURCE

NOWHERE = "unused://"  # no database and no broker is asked


def settings() -> Settings:
    """Return the default settings, which lead to no service."""
    return Settings(database_url=SecretStr(NOWHERE), broker_url=SecretStr(NOWHERE))


def new_spec(chosen: Settings) -> SandboxConfig:
    """Return the sandbox of a new execution with nothing but its source."""
    request = merge_agent(ExecutionRequest(source=SOURCE), None)
    return build_spec(uuid4(), 1, request, resolve(request, chosen), chosen)


def engine_options(api: APIClient) -> frozenset[str]:
    """Return the security options that the engine offers, as the backend reads them."""
    offered = api.info().get("SecurityOptions") or []
    return frozenset(item.removeprefix("name=").split(",")[0] for item in offered)
