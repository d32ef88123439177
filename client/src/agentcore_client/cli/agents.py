"""`agents put|get|list|delete`: stored agents."""

import json
import sys
import tomllib
from typing import Annotated, Any

import typer

from agentcore_client.cli.options import Common, takes_options
from agentcore_client.cli.output import print_json, print_line, print_table, tell

agents = typer.Typer(
    name="agents",
    help="Store, read and delete agents.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a stored agent.")]


@agents.command("put")
@takes_options
def put(
    name: Name,
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE", help="Its configuration, JSON or *.toml ('-': from stdin)."),
    ],
    options: Common,
) -> None:
    """Store a configuration; every change makes a new version.

    \b
    Example (summariser.toml):
      source = "import sys; print(sys.stdin.read()[:100])"
      security_profile = "minimal"
      [execution_limits]
      max_memory_mb = 128
    \b
      agentcore agents put summariser summariser.toml
    """
    config = _config(file.read(), getattr(file, "name", "-"))
    with options.connect() as client:
        stored = client.put_agent(name, config)
    if options.json:
        print_json(stored.raw)
    else:
        print_line(f"{stored.name} version {stored.version}")


@agents.command("get")
@takes_options
def get(
    name: Name,
    options: Common,
    version: Annotated[int | None, typer.Option(min=1, help="By default the newest.")] = None,
) -> None:
    """Print an agent's configuration as JSON, ready to change and `put` again."""
    with options.connect() as client:
        stored = client.get_agent(name, version=version)
    print_json(stored.raw if options.json else stored.config)
    if not options.json:
        tell(f"{stored.name} version {stored.version}, {stored.created_at:%Y-%m-%d %H:%M:%S}")


@agents.command("list")
@takes_options
def list_(options: Common) -> None:
    """List the stored agents."""
    with options.connect() as client:
        pages = list(client.agent_pages())
    if options.json:
        items = [item for page in pages for item in page.raw["items"]]
        print_json(pages[-1].raw | {"items": items})
        return
    rows = (
        (item.name, item.version, f"{item.created_at:%Y-%m-%d %H:%M:%S}", item.description)
        for page in pages
        for item in page.items
    )
    print_table(("NAME", "VERSION", "CREATED", "DESCRIPTION"), rows)


@agents.command("delete")
@takes_options
def delete(
    name: Name,
    options: Common,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an agent with all its versions; executions of it stay."""
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("is needed where nobody can be asked", param_hint="--yes")
        typer.confirm(f"Delete agent {name} with all its versions?", abort=True, err=True)
    with options.connect() as client:
        client.delete_agent(name)
    if not options.json:
        print_line(f"{name} deleted")


def _config(data: bytes, name: str) -> dict[str, Any]:
    try:
        text = data.decode("utf-8")
        config = tomllib.loads(text) if name.endswith(".toml") else json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"is not valid: {error}", param_hint="FILE") from error
    if not isinstance(config, dict):
        raise typer.BadParameter("must hold one JSON object", param_hint="FILE")
    return config
