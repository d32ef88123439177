"""Liveness, readiness and metrics; open to whoever reaches the port."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from api import errors, metrics, readiness
from api.readiness import Readiness
from models.settings import load_settings

router = APIRouter(tags=["health"])

RETRY_AFTER = "5"  # seconds; what is checked is looked at again about so often


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("/health")
async def health() -> Alive:
    """Say that the process lives."""
    return Alive()


@router.get(
    "/health/ready",
    responses={**errors.responses(422), 503: {"model": Readiness, "description": "Not ready"}},
)
def ready(
    response: Response,
    only: Annotated[
        Literal["api"] | None,
        Query(
            description="`api`: 503 only where this API cannot serve, which is without the "
            "database; what it accepts without the other parts waits for them"
        ),
    ] = None,
) -> Readiness:
    """Check database, broker, whether a worker lives that can start sandboxes, and the sweep."""
    found = readiness.database_only() if only == "api" else readiness.check()
    response.status_code = 200 if found.ready else 503
    if not found.ready:
        response.headers["Retry-After"] = RETRY_AFTER
    return found


@router.get("/metrics", response_class=Response)
def prometheus() -> Response:
    """Metrics in the Prometheus text format."""
    if not load_settings().metrics_enabled:
        return Response(status_code=404)
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)
