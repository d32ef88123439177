"""Who is calling: the bearer key of the Authorization header."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from api import keys
from models.session import transaction
from worker.submit import Caller

# Only for the API's description: the guard has authenticated before any route is reached.
_bearer = HTTPBearer(auto_error=False, description="An API key: `ac_...`")


def authenticate(header: str | None) -> Caller | None:
    """Return whose key the Authorization header holds; None when it holds none in force.

    Raises StoreUnavailableError.
    """
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    with transaction() as session:
        found = keys.tenant_of(session, key.strip())
    return None if found is None else Caller(tenant_id=found[0], api_key_id=found[1])


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Authenticated = Annotated[Caller, Depends(_caller)]
DOCUMENTED = [Security(_bearer)]  # for the routers of /v1
