"""Who is calling, by the bearer key of the Authorization header, and what the key may do.

Every route of /v1 has its line in NEEDED; nothing else grants or refuses a route. The guard asks
here before a body is read. What an execution would use (profile, image, network) is only known
once it is resolved: `worker.submit` asks then.
"""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.routing import compile_path

from api import keys
from api.query import refuse_unknown
from models.permissions import Permission, require
from models.session import autocommit
from worker.submit import Caller

NEEDED = {
    ("POST", "/v1/executions"): Permission.SUBMIT,
    ("GET", "/v1/executions"): Permission.READ,
    ("GET", "/v1/executions/{execution_id}"): Permission.READ,
    ("POST", "/v1/executions/{execution_id}/cancel"): Permission.CANCEL,
    ("GET", "/v1/executions/{execution_id}/events"): Permission.READ,
    ("GET", "/v1/executions/{execution_id}/results"): Permission.READ,
    ("GET", "/v1/executions/{execution_id}/results/stream"): Permission.READ,
    ("GET", "/v1/executions/{execution_id}/artifacts"): Permission.READ,
    ("GET", "/v1/executions/{execution_id}/artifacts/{path:path}"): Permission.READ,
    ("GET", "/v1/agents"): Permission.READ,
    ("GET", "/v1/agents/{name}"): Permission.READ,
    ("PUT", "/v1/agents/{name}"): Permission.ADMINISTER,
    ("DELETE", "/v1/agents/{name}"): Permission.ADMINISTER,
    ("GET", "/v1/profiles"): Permission.READ,
}
_PATTERNS = [
    (method, compile_path(path)[0], permission) for (method, path), permission in NEEDED.items()
]


def authenticate(header: str | None) -> Caller | None:
    """Return whose key the Authorization header holds; None when it holds none in force.

    Raises StoreUnavailableError.
    """
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    with autocommit() as session:
        return keys.caller_of(session, key.strip())


def authorize(request: Request, caller: Caller) -> None:
    """Let a known caller in, or raise PermissionDeniedError.

    A path or method that NEEDED does not name passes: it is no route, and is answered so.
    """
    request.state.caller = replace(caller, request_id=request.state.request_id)
    for method, pattern, permission in _PATTERNS:
        if method == request.method and pattern.match(request.scope["path"]):
            require(caller.permissions, permission)
            request.state.checked = permission
            return


async def _caller(request: Request) -> Caller:  # or FastAPI would ask for it in a thread
    """Return the caller, who has been found to have what the reached route needs."""
    route = (request.method, request.scope["route"].path)
    checked = getattr(request.state, "checked", None)
    if checked is None or checked is not NEEDED.get(route):
        raise RuntimeError(f"{route} was reached without its check: has it a line in NEEDED?")
    caller: Caller = request.state.caller
    return caller


Authenticated = Annotated[Caller, Depends(_caller)]
# For all routers of /v1. The bearer scheme only describes: the guard has authenticated before.
_bearer = HTTPBearer(auto_error=False, description="An API key: `ac_...`")
PROTECTED = [Security(_bearer), Depends(_caller), Depends(refuse_unknown)]
