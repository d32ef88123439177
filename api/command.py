"""The command line of `python -m api`."""

import typer
import uvicorn

from api.keys_cli import keys_cli
from models import telemetry
from models.logs import configure_logging
from models.process import raise_descriptor_limit
from models.session import engine
from models.settings import load_settings

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
    configure_logging(settings)
    raise_descriptor_limit()
    telemetry.configure("agentcore-api")
    engine()  # a wrong URL is told now, and not when somebody comes
    uvicorn.run(
        "api.app:create_app",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        reload=settings.debug,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
