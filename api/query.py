"""Query parameters that a route does not have are refused, not passed over.

`?statuss=failed` would list everything, and look as if it had not.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fastapi import Request

from models.errors import RequestRefusedError

MAX_SHOWN = 100  # characters of a name that a stranger chose


async def refuse_unknown(request: Request) -> None:
    """Raise RequestRefusedError for the first parameter that the reached route does not take."""
    if not request.url.query:
        return
    known = _taken(request.scope["route"].endpoint)
    for name in request.query_params:
        if name not in known:
            raise RequestRefusedError(name[:MAX_SHOWN], "no such query parameter here")


@lru_cache
def _taken(endpoint: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(endpoint).parameters)
