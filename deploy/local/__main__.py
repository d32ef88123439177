"""`python -m deploy.local up|down|status|run`: the stack of one machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict

from rich.table import Table

from deploy.entry import run_main
from deploy.errors import ServiceStartError
from deploy.local.stack import LocalStack
from deploy.prepare import prepare
from deploy.progress import console, step

DEFAULT_URL = "http://127.0.0.1:8002"  # where the client looks when told nothing
KEY_COMMAND = "{python} -m deploy.local run python -m api keys create --all-permissions"


def up(stack: LocalStack) -> int:
    """Start everything and say where it is."""
    prepare(stack.state)
    with step("Local stack") as say:
        stack.up(say)
    user, _ = stack.flower_login()
    console.print(f"  API     {stack.api_url}")
    console.print(f"  Docs    {stack.api_url}/docs")
    password = stack.state / "secrets.json"
    console.print(f"  Flower  {stack.flower_url}  (user {user}, password in {password})")
    console.print(f"  State   {stack.state}")
    console.print(f"  A key:  {KEY_COMMAND.format(python=_python())}")
    if stack.api_url != DEFAULT_URL:
        console.print(f"  Client: export AGENTCORE_URL={stack.api_url}")
    return 0


def down(stack: LocalStack) -> int:
    """Stop everything but the Docker engine."""
    with step("Local stack stopped") as say:
        stack.down(say)
    return 0


def status(stack: LocalStack, *, as_json: bool) -> int:
    """Print the parts; returns 0 only when all of them run."""
    parts = stack.status()
    if as_json:
        print(json.dumps({part.name: asdict(part) for part in parts}, indent=2))
    else:
        table = Table("part", "state", "pid", "up for", "log")
        for part in parts:
            age = "" if part.uptime_seconds is None else f"{part.uptime_seconds:.0f} s"
            table.add_row(part.name, part.state, str(part.pid or ""), age, part.log)
        console.print(table)
    return 0 if all(part.state == "running" for part in parts) else 1


def run(stack: LocalStack, command: list[str], *, owner: bool) -> int:
    """Become `command`, with the environment that the stack's processes have.

    With `owner`, also with the address of the role that owns the tables.
    """
    words = command[1:] if command[:1] == ["--"] else command
    if not words:
        raise ServiceStartError("name a command to run, for example: run python -m api keys create")
    down = [part.name for part in stack.services.status() if part.state != "running"]
    if down:
        raise ServiceStartError(f"not running: {', '.join(down)}; start the stack with `make up`")
    environment = stack.environment(owner=owner)
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606 - argv, no shell
    except OSError as error:
        raise ServiceStartError(f"cannot run {words[0]}: {error.strerror}") from error


def main() -> int:
    """Parse the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start what is not running, and wait until it is ready")
    commands.add_parser("down", help="stop everything but the Docker engine")
    shown = commands.add_parser("status", help="what runs; exit code 1 unless everything does")
    shown.add_argument("--json", action="store_true", help="for programs")
    ran = commands.add_parser("run", help="run a command with the stack's environment")
    ran.add_argument(
        "--owner", action="store_true", help="and that of the role that owns the tables: backups"
    )
    ran.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    stack = LocalStack()
    if arguments.command == "run":
        return run(stack, arguments.words, owner=arguments.owner)
    if arguments.command == "status":
        return status(stack, as_json=arguments.json)
    return up(stack) if arguments.command == "up" else down(stack)


def _python() -> str:
    """Return how to call this Python from here, as short as it goes."""
    short = os.path.relpath(sys.executable)
    return short if not short.startswith("..") else sys.executable


if __name__ == "__main__":
    sys.exit(run_main(main))
