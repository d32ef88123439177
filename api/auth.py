"""Who is calling: the bearer key of the Authorization header."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import keys
from api.errors import UnauthenticatedError
from models.session import transaction
from worker.submit import Caller

_bearer = HTTPBearer(auto_error=False, description="An API key: `ac_...`")


def caller(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """Return the caller of this request. Raises UnauthenticatedError."""
    if credentials is None:
        raise UnauthenticatedError
    with transaction() as session:
        found = keys.tenant_of(session, credentials.credentials)
    if found is None:
        raise UnauthenticatedError
    tenant_id, key_id = found
    return Caller(tenant_id=tenant_id, api_key_id=key_id)


Authenticated = Annotated[Caller, Depends(caller)]
