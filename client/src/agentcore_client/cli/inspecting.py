"""`status`, `list`, `cancel`, `logs`, `artifacts`, `audit`: look at executions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agentcore_client.cli import exits
from agentcore_client.cli.options import Common, takes_options
from agentcore_client.cli.output import (
    print_fields,
    print_json,
    print_line,
    print_table,
    tell,
    write_streams,
)
from agentcore_client.responses import AuditTrail, BatchSummary, Execution

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of an execution.")]


@takes_options
def status(execution_id: Id, options: Common) -> None:
    """Show where an execution stands.

    \b
    Example:
      agentcore status 0b8f7c1e-5a3e-4a53-9d7e-0c2a6a1f4d11
    """
    with options.connect() as client:
        execution = client.get(execution_id)
    if options.json:
        print_json(execution.raw)
    else:
        print_fields(_described(execution))


@takes_options
def list_(
    options: Common,
    status: Annotated[str | None, typer.Option(help="queued, running, succeeded, …")] = None,
    agent: Annotated[str | None, typer.Option(help="Of this stored agent.")] = None,
    profile: Annotated[str | None, typer.Option(help="Under this security profile.")] = None,
    created_after: Annotated[datetime | None, typer.Option(help="Local time.")] = None,
    created_before: Annotated[datetime | None, typer.Option(help="Local time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Lines of one page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="As the page before told.")] = None,
) -> None:
    """List executions, newest first.

    \b
    Examples:
      agentcore list --status failed --limit 10
      agentcore list --json | jq -r '.items[].id'
    """
    with options.connect() as client:
        page = client.list(
            status=status,
            agent=agent,
            security_profile=profile,
            created_after=created_after,
            created_before=created_before,
            limit=limit,
            cursor=cursor,
        )
    if options.json:
        print_json(page.raw)
        return
    headings = ("ID", "STATUS", "REASON", "AGENT", "PROFILE", "CREATED", "SECONDS", "LABELS")
    print_table(headings, (_row(execution) for execution in page.items))
    if page.next_cursor is not None:
        tell(f"there are more: agentcore list … --cursor {page.next_cursor}")


@takes_options
def cancel(execution_id: Id, options: Common) -> None:
    """Ask for the end of an execution; its container is gone within seconds."""
    with options.connect() as client:
        execution = client.cancel(execution_id)
    if options.json:
        print_json(execution.raw)
    else:
        print_line(f"{execution.id} is being cancelled (now {execution.status})")


@takes_options
def logs(
    execution_id: Id,
    options: Common,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only what went to stdout.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Only what went to stderr.")] = False,
) -> None:
    """Print what the program of an execution printed: stdout to stdout, stderr to stderr.

    To a terminal, escapes and control characters are written out; a pipe gets the very bytes.

    \b
    Examples:
      agentcore logs ID
      agentcore logs --stderr ID 2> errors.txt
    """
    with options.connect() as client:
        execution = client.get(execution_id)
    if options.json:
        print_json({name: execution.raw.get(name) for name in ("stdout", "stderr")})
        return
    both = stdout == stderr
    write_streams(
        execution.stdout if both or stdout else None, execution.stderr if both or stderr else None
    )
    if execution.batch is not None:
        tell(f"this is a batch: agentcore results {execution.id} prints what its runs printed")
    elif not execution.is_terminal:
        tell(f"execution {execution.id} is {execution.status}; its output comes when it ends")


@takes_options
def artifacts(
    execution_id: Id,
    options: Common,
    output_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save them all under this directory.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist there.")
    ] = False,
) -> None:
    """List the files that a program left in /workspace/output, or save them.

    Their names are the program's choice: one that leads out of the directory is refused.

    \b
    Example:
      agentcore artifacts ID --output-dir results
    """
    with options.connect() as client:
        found = client.artifact_list(execution_id)
        if output_dir is not None:
            places = client.download(execution_id, output_dir, overwrite=overwrite)
            tell(f"saved {len(places)} files in {output_dir}")
    if options.json:
        print_json(found.raw)
    else:
        rows = ((item.path, item.size, item.sha256) for item in found.items)
        print_table(("PATH", "BYTES", "SHA-256"), rows)


@takes_options
def audit(execution_id: Id, options: Common) -> None:
    """Show the audit trail of an execution and whether its hash chain is intact.

    Exits with 1 when it is not. The chain makes tampering evident, not impossible.
    """
    with options.connect() as client:
        trail = client.events(execution_id)
    if options.json:
        print_json(trail.raw)
    else:
        _print_trail(trail)
    if trail.first_broken is not None:
        tell(f"the audit chain of {execution_id} is BROKEN at event {trail.first_broken}")
        raise typer.Exit(exits.BROKEN)


def _print_trail(trail: AuditTrail) -> None:
    rows = (
        (
            event.sequence,
            _moment(datetime.fromtimestamp(event.recorded_at_us / 1_000_000, UTC)),
            event.kind,
            json.dumps(event.data, sort_keys=True),
            event.hash[:16],
        )
        for event in trail.items
    )
    print_table(("#", "TIME (UTC)", "EVENT", "DATA", "HASH"), rows)
    if trail.first_broken is None:
        print_line(f"chain intact: {len(trail.items)} events")


def _described(execution: Execution) -> list[tuple[str, object]]:
    limits = execution.limits
    agent = f"{execution.agent} version {execution.agent_version}" if execution.agent else None
    return [
        ("id", execution.id),
        ("status", execution.status),
        ("reason", execution.reason),
        ("message", execution.message),
        ("exit code", execution.exit_code),
        ("signal", execution.signal),
        ("agent", agent),
        ("image", execution.image),
        ("profile", execution.security_profile),
        ("network", _network(execution)),
        (
            "limits",
            f"{limits.memory_mb} MiB, {limits.cpu_cores:g} cores, {limits.processes} processes, "
            f"{limits.execution_time_seconds:g} s",
        ),
        ("created", _moment(execution.created_at)),
        ("started", _moment(execution.started_at)),
        ("finished", _moment(execution.finished_at)),
        ("cancel asked", _moment(execution.cancel_requested_at)),
        ("attempt", execution.attempt),
        ("batch", execution.batch and batch_line(execution.batch)),
        ("labels", _labels(execution)),
        ("artifacts", ", ".join(item.path for item in execution.artifacts)),
        *(("warning", warning) for warning in execution.warnings),
    ]


def _row(execution: Execution) -> tuple[object, ...]:
    started, finished = execution.started_at, execution.finished_at
    seconds = f"{(finished - started).total_seconds():.1f}" if started and finished else None
    return (
        execution.id,
        execution.status,
        execution.reason,
        execution.agent,
        execution.security_profile,
        _moment(execution.created_at),
        seconds,
        _labels(execution),
    )


def _network(execution: Execution) -> str:
    use = execution.network
    if use is None:
        return execution.network_access
    return (
        f"{execution.network_access}: {use.requests} requests, {use.denied} denied, "
        f"{use.bytes_up} bytes up, {use.bytes_down} down"
    )


def batch_line(batch: BatchSummary) -> str:
    """Return in words how the runs of a batch ended."""
    if batch.succeeded is None:
        return f"{batch.inputs} inputs"
    missing = batch.inputs - batch.ended
    without = f", {missing} without a result" if missing else ""
    return (
        f"{batch.inputs} inputs: {batch.succeeded} succeeded, {batch.failed} failed, "
        f"{batch.timed_out} timed out{without}"
    )


def _labels(execution: Execution) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(execution.labels.items()))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
