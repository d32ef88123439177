"""The options of `run`, `submit` and `batch`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agentcore_client.cli.options import Common
from agentcore_client.types import NetworkAccess


class Profile(StrEnum):
    """Names of security profiles."""

    MINIMAL = "minimal"
    STANDARD = "standard"
    PRIVILEGED = "privileged"


@dataclass(frozen=True, kw_only=True)
class ProgramOptions(Common):
    """What to run, where, and within which limits; None leaves a choice to the server."""

    program: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE ARGS",
            help="Python source ('-': from stdin) and its arguments; all after FILE is the "
            "program's, so our options come first.",
            show_default=False,
        ),
    ] = None
    command: Annotated[
        bool, typer.Option("--command", help="FILE is a program of the image, not source.")
    ] = False
    agent: Annotated[
        str | None, typer.Option(help="Run this stored agent; there is no FILE, only ARGS.")
    ] = None
    agent_version: Annotated[
        int | None, typer.Option(min=1, help="A version of it, by default the newest.")
    ] = None
    profile: Annotated[
        Profile | None, typer.Option(help="Security profile, by default standard.")
    ] = None
    security_options: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help='Changes to the profile, as in \'{"blocked_syscalls": ["symlink"]}\'.',
        ),
    ] = None
    image: Annotated[str | None, typer.Option(help="A name of the operator's image catalogue.")] = (
        None
    )
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Wall-clock limit, by default 30."),
    ] = None
    memory: Annotated[
        int | None, typer.Option(min=32, metavar="MIB", help="Memory limit, by default 256.")
    ] = None
    cpu: Annotated[
        float | None,
        typer.Option(min=0.05, metavar="CORES", help="CPU limit, by default 0.5."),
    ] = None
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes and threads, by default 10.")
    ] = None
    network: Annotated[
        NetworkAccess | None, typer.Option(help="By default that of the security profile.")
    ] = None
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="Name, host:port or CIDR that --network restricted may reach."
        ),
    ] = None
    network_requests: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Connections to those hosts, by default 100."),
    ] = None
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K=V", help="Environment variable. Process lists show it; see --env-from-file."
        ),
    ] = None
    env_from_file: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Lines of K=V, blank or starting with #; no quotes."),
    ] = None
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="LOCAL[:PATH]", help="A file to put at /workspace/PATH."),
    ] = None
    label: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A label to find it by.")
    ] = None
    priority: Annotated[
        int | None, typer.Option(min=0, max=9, help="9 runs first, by default 4.")
    ] = None
    restricted_python: Annotated[
        bool | None,
        typer.Option(
            "--restricted-python/--no-restricted-python",
            help="Run under RestrictedPython or not, by default as the profile says. "
            "It is a policy, not a boundary: the sandbox is the boundary.",
            show_default=False,
        ),
    ] = None
    max_attempts: Annotated[
        int | None,
        typer.Option(min=1, max=10, help="Starts if a worker is lost, by default 1."),
    ] = None
    detach: Annotated[bool, typer.Option("--detach", help="Print the id and do not wait.")] = False


@dataclass(frozen=True, kw_only=True)
class RunOptions(ProgramOptions):
    """One run: its input, and where its files go."""

    tool: Annotated[str | None, typer.Option(help="Run this tool of the agent.")] = None
    tool_arguments: Annotated[
        str | None, typer.Option(metavar="JSON", help="A JSON object for the tool.")
    ] = None
    stdin: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Standard input ('-': ours).")
    ] = None
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Save the files of /workspace/output here."),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist there.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ProgramOptions):
    """Many runs: their inputs, and the limits of each."""

    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Lines ('-': from stdin), each the standard input of one run. Comes before FILE.",
        ),
    ] = None
    input_timeout: Annotated[
        float | None,
        typer.Option(
            min=0.1, metavar="SECONDS", help="Of one run, by default 10; --timeout is for all."
        ),
    ] = None
    max_output: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="BYTES", help="Kept of each output stream of a run, by default 4096."
        ),
    ] = None
