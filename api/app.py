"""Wires the API together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware

from api import errors
from api.auth import PROTECTED
from api.guard import Guard
from api.middleware import RequestContext
from api.routes import agents, executions, health, profiles, records, results
from api.waiters import Waiters
from models import telemetry
from models.session import engine
from models.settings import load_settings

log = structlog.get_logger()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = load_settings()
    app.state.waiters = Waiters(settings)
    async with app.state.waiters.listening():
        log.info("api_started", host=settings.api_host, port=settings.api_port)
        yield
    engine().dispose()
    await run_in_threadpool(telemetry.flush)
    log.info("api_stopped")


def create_app() -> FastAPI:
    """Return the application; uvicorn calls this."""
    settings = load_settings()
    app = FastAPI(
        title="AgentCore Runtime",
        version="1",
        summary="Runs untrusted agent code in hardened, single-use containers",
        lifespan=_lifespan,
        # The guard makes a request's span, once its caller is known; metrics and logs are ours.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    errors.install(app)
    for module in (executions, records, results, agents, profiles):
        app.include_router(module.router, dependencies=PROTECTED)
    app.include_router(health.router)
    # The last one added is the outermost: CORS headers are on every answer, also on refusals.
    app.add_middleware(Guard, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(RequestContext)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Location", "Idempotency-Replayed", "X-Request-ID", "Retry-After"],
        )
    return app
