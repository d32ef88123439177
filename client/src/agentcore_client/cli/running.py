"""`run` and `submit`: start an execution and follow it to its end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from agentcore_client.cli import exits
from agentcore_client.cli.building import build_request
from agentcore_client.cli.options import Common, takes_options
from agentcore_client.cli.output import (
    console,
    is_terminal,
    print_json,
    print_line,
    tell,
    write_streams,
)
from agentcore_client.cli.run_options import RunOptions
from agentcore_client.client import Client
from agentcore_client.errors import AgentCoreClientError, ConflictError
from agentcore_client.requests import ExecutionRequest
from agentcore_client.responses import Execution
from agentcore_client.text import visible_line

FOLLOW_SECONDS = 1.0  # of one long-poll, so that the status shown is about this fresh
QUIET_REASONS = (None, "exit_nonzero")  # the exit code alone says as much


@takes_options
def run(options: RunOptions) -> None:
    """Run a program in a sandbox, print what it printed, and exit with its exit code.

    \b
    Examples:
      agentcore run hello.py
      agentcore run --timeout 60 --memory 512 job.py --verbose input.csv
      agentcore run --file input.csv --output-dir results job.py
      echo 'print(1 + 1)' | agentcore run -
      agentcore run --command -- python3 -c 'print(1 + 1)'
      agentcore run --agent summariser --stdin article.txt
      agentcore run --json hello.py | jq .usage

    \b
    Exit codes:
      the program's own, or
      128 + N  a signal N ended it        124  it ran into the time limit
      130      it was cancelled           127  the command is not in the image
      125      it never ran to an end of its own: refused, lost, no connection

    Ctrl-C cancels the execution.
    """
    request = build_request(options)
    _require_room(options)
    with options.connect() as client:
        execution = start(client, request)
        if options.detach:
            print_submitted(options, execution)
            return
        with watching(client, execution):
            execution = _follow(client, execution)
        _report(options, execution)
        if options.output_dir is not None and execution.artifacts:
            places = client.download(execution.id, options.output_dir, overwrite=options.overwrite)
            tell(f"saved {len(places)} files in {options.output_dir}")
    raise typer.Exit(exits.exit_code(execution))


def _require_room(options: RunOptions) -> None:
    """Refuse before anything runs what could not be saved afterwards."""
    folder = options.output_dir
    if folder is None or options.overwrite or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise typer.BadParameter(
            f"{folder} is not an empty folder; choose another, or add --overwrite",
            param_hint="--output-dir",
        )


@takes_options
def submit(options: RunOptions) -> None:
    """Submit a program and print the id of its execution without waiting for it.

    \b
    Examples:
      id=$(agentcore submit --timeout 600 job.py)
      agentcore status "$id"
      agentcore logs "$id"

    Takes the options of `agentcore run`; see there.
    """
    request = build_request(options)
    with options.connect() as client:
        print_submitted(options, start(client, request))


def start(client: Client, request: ExecutionRequest) -> Execution:
    """Submit; when interrupted, say that nobody knows whether it runs."""
    try:
        return client.submit(request)
    except KeyboardInterrupt as interrupt:
        tell("interrupted before the server confirmed; `agentcore list` shows whether it runs")
        raise typer.Exit(exits.CANCELLED) from interrupt


def print_submitted(options: Common, execution: Execution) -> None:
    """Print the id, for what is not waited for."""
    if options.json:
        print_json(execution.raw)
    else:
        print_line(execution.id)


@contextmanager
def watching(client: Client, execution: Execution) -> Iterator[None]:
    """Cancel the execution when the block is interrupted; name it when the server is lost."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        _cancel(client, execution)
        raise typer.Exit(exits.CANCELLED) from interrupt
    except AgentCoreClientError:
        tell(f"lost sight of execution {execution.id}, which may go on: agentcore logs ID shows it")
        raise


def _follow(client: Client, submitted: Execution) -> Execution:
    if not is_terminal(sys.stderr):
        return client.wait(submitted.id)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task(_line(submitted), total=None)
        for execution in client.follow(submitted.id, poll_seconds=FOLLOW_SECONDS):
            progress.update(task, description=_line(execution))
    return execution


def _line(execution: Execution) -> str:
    return visible_line(f"{execution.id}  {execution.status}  Ctrl-C cancels")


def _cancel(client: Client, execution: Execution) -> None:
    try:
        client.cancel(execution.id)
        tell(f"cancelled execution {execution.id}")
    except ConflictError:
        tell(f"execution {execution.id} had ended already: agentcore logs {execution.id}")
    except AgentCoreClientError as error:
        tell(f"could not cancel execution {execution.id}, which may go on: {error}")


def _report(options: RunOptions, execution: Execution) -> None:
    if options.json:
        print_json(execution.raw)
        return
    write_streams(execution.stdout, execution.stderr)
    for warning in execution.warnings:
        tell(f"warning: {warning}")
    if is_terminal(sys.stderr) or execution.reason not in QUIET_REASONS:
        tell(_summary(execution))


def _summary(execution: Execution) -> str:
    seconds = execution.usage.wall_seconds
    took = "" if seconds is None else f" in {seconds:.1f} s"
    reason = f" ({execution.reason})" if execution.reason else ""
    message = f": {execution.message}" if execution.message else ""
    return f"{execution.status}{reason}{took}{message} [{execution.id}]"
