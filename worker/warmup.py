"""Which sandboxes a worker keeps ready from its start: those of requests that name nothing."""

from uuid import uuid4

import structlog

from models.errors import RequestRefusedError
from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve
from models.sandbox import SandboxConfig, build_spec
from models.settings import Settings

log = structlog.get_logger()


def default_specs(settings: Settings) -> list[SandboxConfig]:
    """Return the sandbox of a request with all defaults; none where the settings refuse it."""
    request = merge_agent(ExecutionRequest(source="pass"), None)
    try:
        effective = resolve(request, settings)
    except RequestRefusedError as error:
        log.info("nothing_to_keep_ready", why=str(error))
        return []
    return [build_spec(uuid4(), 0, request, effective, settings)]
