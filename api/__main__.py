"""`python -m api`: serve the API, and make, list and revoke keys."""

from typing import Annotated

import typer
import uvicorn
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from api import keys
from models.errors import AgentCoreError, SettingsError
from models.logs import configure_logging
from models.process import raise_descriptor_limit
from models.session import transaction
from models.settings import load_settings
from models.tables import ApiKey, Tenant

cli = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
keys_cli = typer.Typer(no_args_is_help=True, help="API keys; each belongs to one tenant.")
cli.add_typer(keys_cli, name="keys")

TenantName = Annotated[str, typer.Option(help="Tenant; it is made when it does not exist yet.")]


@cli.command()
def serve() -> None:
    """Serve the API on AGENTCORE_API_HOST and AGENTCORE_API_PORT (127.0.0.1:8002)."""
    settings = load_settings()
    configure_logging(settings)
    raise_descriptor_limit()
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


@keys_cli.command("create")
def create_key(
    tenant: TenantName = "default",
    name: Annotated[str, typer.Option(help="What the key is for.")] = "default",
) -> None:
    """Make a key and print it once; only its hash is stored.

    Example: export AGENTCORE_API_KEY=$(python -m api keys create --tenant search)
    """
    for option, value in (("--tenant", tenant), ("--name", name)):
        if not keys.NAME.match(value):
            raise typer.BadParameter(
                "lower-case letters, digits, '-' and '_', 1 to 63 characters", param_hint=option
            )
    with transaction() as session:
        key = keys.create(session, tenant, name)
    print(key)


@keys_cli.command("list")
def list_keys() -> None:
    """List all keys without their secrets."""
    table = Table("id", "tenant", "name", "created", "state")
    with transaction() as session:
        rows = session.execute(
            select(ApiKey, Tenant.name)
            .join(Tenant, Tenant.id == ApiKey.tenant_id)
            .order_by(ApiKey.created_at)
        ).all()
    for key, tenant in rows:
        state = "revoked" if key.revoked_at else "in force"
        table.add_row(key.id, tenant, key.name, f"{key.created_at:%Y-%m-%d %H:%M}", state)
    Console().print(table)


@keys_cli.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The id that `list` shows.")]) -> None:
    """End a key at once."""
    with transaction() as session:
        keys.revoke(session, key_id)
    print(f"revoked {key_id}")


def main() -> None:
    """Run the command line; errors of ours are one line, not a traceback."""
    try:
        cli()
    except SettingsError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
    except AgentCoreError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
