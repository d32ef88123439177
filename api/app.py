"""Wires the API together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from api import errors
from api.middleware import RequestContext
from api.routes import agents, executions, health, profiles, records
from api.waiters import Waiters
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
    log.info("api_stopped")


def create_app() -> FastAPI:
    """Return the application; uvicorn calls this."""
    settings = load_settings()
    app = FastAPI(
        title="AgentCore Runtime",
        version="1",
        summary="Runs untrusted agent code in hardened, single-use containers",
        lifespan=_lifespan,
    )
    errors.install(app)
    for module in (executions, records, agents, profiles, health):
        app.include_router(module.router)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        )
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body_bytes)
    app.add_middleware(RequestContext, max_body_bytes=settings.max_body_bytes)
    return app
