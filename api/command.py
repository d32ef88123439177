"""The command line of `python -m api`."""

from functools import cache
from typing import TYPE_CHECKING

import typer
import uvicorn

from api.keys_cli import keys_cli
from models import telemetry
from models.logs import configure_logging
from models.process import raise_descriptor_limit, require_bindable
from models.session import engine
from models.settings import load_settings

if TYPE_CHECKING:  # its import reads variables that `telemetry.configure` has to look at first
    from fastapi import FastAPI

cli = typer.Typer(
    no_args_is_help=True,
    help="Serve the API, and make, list and revoke keys.",
    pretty_exceptions_enable=False,
)
cli.add_typer(keys_cli, name="keys")


@cli.command()
def serve() -> None:
    """Serve the API on AGENTCORE_API_HOST and AGENTCORE_API_PORT (127.0.0.1:8002)."""
    settings = load_settings()
    _configure()
    raise_descriptor_limit()
    engine()  # settings that lack a database are told now, and not when somebody comes
    require_bindable(
        settings.api_host, settings.api_port, host_setting="api_host", port_setting="api_port"
    )
    uvicorn.run(
        "api.command:make_app",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        reload=settings.debug,
        log_config=None,
        access_log=False,
        server_header=False,
        # Or a request may begin in what another one of its connection has left.
        reset_contextvars=True,
        timeout_graceful_shutdown=10,
    )


def make_app() -> "FastAPI":
    """Return the application, in a process set up for it: with debug, a child of ours."""
    _configure()
    from api.app import create_app

    return create_app()


@cache
def _configure() -> None:
    configure_logging(load_settings())
    telemetry.configure("agentcore-api")
