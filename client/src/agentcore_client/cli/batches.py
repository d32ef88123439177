"""`batch` and `results`: one program over the lines of a file, and what became of each."""

import json
import sys
from typing import Annotated

import typer

from agentcore_client.cli import exits
from agentcore_client.cli.building import build_batch
from agentcore_client.cli.inspecting import Id, batch_line
from agentcore_client.cli.options import Common, takes_options
from agentcore_client.cli.output import is_terminal, tell, write_stream
from agentcore_client.cli.progress import slow_progress
from agentcore_client.cli.run_options import BatchOptions
from agentcore_client.cli.running import print_submitted, start, watching
from agentcore_client.client import Client
from agentcore_client.responses import BatchSummary, Execution, InputResult


@takes_options
def batch(options: BatchOptions) -> None:
    """Run a program once for each line of a file, all of them in one sandbox.

    Each line, without its end, is the standard input of a run of its own, with its own time limit
    (--input-timeout; --timeout is for all runs together) and cap on its output. A run that fails
    does not end the others. What the runs wrote is printed as it comes, in the order of the lines,
    and stderr says which failed (input 0 is the first line). --json prints a line of JSON for each.

    \b
    Examples:
      agentcore batch --inputs words.txt count.py
      agentcore batch --inputs cases.jsonl --json solve.py > results.jsonl
      seq 10000 | agentcore batch --inputs - --timeout 120 square.py
      agentcore batch --inputs urls.txt --input-timeout 2 --agent checker

    \b
    Exit codes:
      0    every run succeeded            1    some did not
      124  the batch ran into --timeout   130  it was cancelled
      125  it never ran to an end of its own: refused, lost, no connection

    Ctrl-C cancels the execution; what has come stays: see `agentcore results`.
    """
    request = build_batch(options)
    with options.connect() as client:
        execution = start(client, request)
        if options.detach:
            print_submitted(options, execution)
            return
        with watching(client, execution):
            execution = _printed(client, execution, -1, as_json=options.json)
    raise typer.Exit(_exit_code(execution))


@takes_options
def results(
    execution_id: Id,
    options: Common,
    after: Annotated[int, typer.Option(min=-1, help="Only of inputs after this one.")] = -1,
) -> None:
    """Print the results of a batch in the order of its inputs, as they come, until it has ended.

    Prints and exits as `agentcore batch` does; see there.

    \b
    Examples:
      id=$(agentcore batch --detach --inputs cases.jsonl solve.py)
      agentcore results "$id" --json | jq -c 'select(.status != "succeeded") | .index'
    """
    with options.connect() as client:
        execution = _printed(client, client.get(execution_id), after, as_json=options.json)
    raise typer.Exit(_exit_code(execution))


def _printed(client: Client, execution: Execution, after: int, *, as_json: bool) -> Execution:
    """Print the results as they come; return the execution once it has ended."""
    inputs = execution.batch.inputs if execution.batch else 0
    with slow_progress(inputs) as ended:
        for result in client.results(execution.id, after=after):
            _print_json(result) if as_json else _print(result)
            ended(result)
    execution = client.get(execution.id)
    if is_terminal(sys.stderr) or _exit_code(execution):
        tell(_summary(execution))
    return execution


def _print_json(result: InputResult) -> None:
    sys.stdout.write(json.dumps(result.raw, ensure_ascii=True, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _print(result: InputResult) -> None:
    write_stream(result.stdout, sys.stdout, f"input {result.index}: stdout")
    write_stream(result.stderr, sys.stderr, f"input {result.index}: stderr")
    if not result.succeeded:
        tell(f"input {result.index}: {result.status}{_why(result)}")


def _why(result: InputResult) -> str:
    code = f", exit code {result.exit_code}" if result.exit_code else ""
    signal = f", signal {result.signal}" if result.signal else ""
    return f" ({result.reason}{code}{signal})" if result.reason else ""


def _summary(execution: Execution) -> str:
    counts = batch_line(execution.batch or BatchSummary(inputs=0))
    reason = f" ({execution.reason})" if execution.reason else ""
    message = f": {execution.message}" if execution.message else ""
    return f"{execution.status}{reason}{message}; {counts} [{execution.id}]"


def _exit_code(execution: Execution) -> int:
    if not execution.succeeded:
        return exits.exit_code(execution)
    counts = execution.batch
    return 0 if counts and counts.succeeded == counts.inputs else exits.FAILED
