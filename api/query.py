"""Query parameters that a route does not have are refused, not passed over.

`?statuss=failed` would list everything, and look as if it had not.
"""

from fastapi import Request
from fastapi.routing import APIRoute

from models.errors import RequestRefusedError

MAX_SHOWN = 100  # characters of a name that a stranger chose


async def refuse_unknown(request: Request) -> None:
    """Raise RequestRefusedError for the first parameter that the reached route does not take."""
    if not request.url.query:
        return
    known = _taken(request.scope["route"])
    for name in request.query_params:
        if name not in known:
            raise RequestRefusedError(name[:MAX_SHOWN], "no such query parameter here")


def _taken(route: APIRoute) -> frozenset[str]:
    """Return the query parameters of a route and of what it depends on."""
    found, left = set[str](), [route.dependant]
    while left:
        dependant = left.pop()
        found |= {field.alias for field in dependant.query_params}
        left += dependant.dependencies
    return frozenset(found)
