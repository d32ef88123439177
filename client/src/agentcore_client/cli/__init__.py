"""The command `agentcore`."""

import io
import sys
from typing import Annotated

import typer

from agentcore_client.cli import batches, inspecting, running, setup
from agentcore_client.cli.agents import agents
from agentcore_client.cli.failing import FriendlyGroup
from agentcore_client.cli.output import print_line
from agentcore_client.version import __version__

app = typer.Typer(
    cls=FriendlyGroup,
    name="agentcore",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# What follows FILE belongs to the program, options too.
_PROGRAM_LAST = {"allow_interspersed_args": False}

app.command(
    "run", context_settings=_PROGRAM_LAST, short_help="Run a program and print what it prints."
)(running.run)
app.command(
    "submit", context_settings=_PROGRAM_LAST, short_help="Start a program and print its id."
)(running.submit)
app.command(
    "batch", context_settings=_PROGRAM_LAST, short_help="Run a program once for each line."
)(batches.batch)
app.command("status")(inspecting.status)
app.command("list")(inspecting.list_)
app.command("cancel", short_help="Ask for the end of an execution.")(inspecting.cancel)
app.command("logs", short_help="Print what a program printed.")(inspecting.logs)
app.command("results", short_help="Print the results of a batch.")(batches.results)
app.command("artifacts", short_help="List or save files that a program left.")(inspecting.artifacts)
app.command("audit", short_help="Show and check the audit trail.")(inspecting.audit)
app.command("profiles", short_help="List the security profiles.")(setup.profiles)
app.add_typer(agents)
app.command("config", short_help="Show which server and key are in force.")(setup.config)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"agentcore-client {__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Run untrusted programs in hardened, single-use sandboxes.

    \b
    First steps:
      export AGENTCORE_URL=http://127.0.0.1:8002
      export AGENTCORE_API_KEY=ac_…      # or --key-file, or the file `agentcore config` names
      agentcore config                   # what is in force, and from where
      echo 'print("hello")' | agentcore run -

    \b
    The key is never given on the command line, since process lists show that to every user.
    Results go to stdout and all talk to stderr; --json prints the server's own JSON.
    """


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal's character set lacks is written out, not a reason to fail.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="agentcore")
