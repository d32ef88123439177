"""`python -m deploy.demo`: sets everything up, runs three real agent programs, shows all of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentcore_client import AuditTrail, Client, Execution, ExecutionLimits, InputFile
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.entry import run_main
from deploy.errors import ServiceStartError
from deploy.local.stack import ROOT, LocalStack
from deploy.prepare import prepare
from deploy.progress import console, step

EXAMPLES = ROOT / "examples"
MAX_SHOWN = 1500  # characters of one output stream


@dataclass(frozen=True, kw_only=True)
class Example:
    """A program of examples/ and how it should end."""

    file: str
    about: str
    status: str
    files: tuple[str, ...] = ()
    seconds: float = 30


EXAMPLE_PROGRAMS = (
    Example(
        file="analyse_requests.py",
        about="reads an input file, computes, writes an artifact",
        status="succeeded",
        files=("requests.csv",),
    ),
    Example(file="failing_plan.py", about="fails with a traceback", status="failed"),
    Example(
        file="endless_thought.py",
        about="loops for ever under a limit of 2 s",
        status="timed_out",
        seconds=2,
    ),
)


def main() -> int:
    """Run the demo; returns 0 when every program ended as it should."""
    started = time.monotonic()
    stack = LocalStack()
    prepare(stack.state)
    was_up = any(part.state == "running" for part in stack.status())
    try:
        with step("Local stack") as say:
            stack.up(say)
        with Client(stack.api_url, _make_key(stack)) as client:
            as_told = _run_examples(client, stack.api_url)
    finally:
        if not was_up:
            with step("Local stack stopped") as say:
                stack.down(say)
    console.print(f"Done in {time.monotonic() - started:.1f} s.")
    if was_up:
        console.print("The stack was running before and still is; `make down` stops it.")
    return 0 if as_told else 1


def _make_key(stack: LocalStack) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "api", "keys", "create", "--tenant", "demo", "--name", "demo"],
        cwd=ROOT,
        env=stack.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceStartError(f"no API key could be made: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def _run_examples(client: Client, url: str) -> bool:
    submitted = [(example, _submit(client, example)) for example in EXAMPLE_PROGRAMS]
    console.print(f"Submitted {len(submitted)} programs over REST to {url}")
    as_told = True
    for example, execution_id in submitted:
        with step(example.file):
            execution = client.wait(execution_id, timeout=120)
        _show(client, example, execution)
        as_told = as_told and execution.status == example.status
    return as_told


def _submit(client: Client, example: Example) -> str:
    files = [
        InputFile(path=name, content=(EXAMPLES / "data" / name).read_text(encoding="utf-8"))
        for name in example.files
    ]
    execution = client.submit(
        source=(EXAMPLES / example.file).read_text(encoding="utf-8"),
        files=files,
        execution_limits=ExecutionLimits(max_execution_time_seconds=example.seconds),
        labels={"example": example.file.removesuffix(".py")},
    )
    return str(execution.id)


def _show(client: Client, example: Example, execution: Execution) -> None:
    console.rule(f"[bold]{example.file}[/]: {example.about}", align="left")
    console.print(_outcome(execution))
    for name in ("stdout", "stderr"):
        stream = getattr(execution, name)
        if stream is not None and stream.text:
            # What a program wrote is hostile: plain text, no markup, no control characters.
            body = Text(_printable(stream.text)[-MAX_SHOWN:].rstrip())
            console.print(Panel(body, title=name, title_align="left"))
    for artifact in execution.artifacts:
        content = client.artifact(str(execution.id), artifact.path).decode(errors="replace")
        title = Text(f"artifact {artifact.path} ({artifact.size} bytes)")
        body = Text(_printable(content)[:MAX_SHOWN].rstrip())
        console.print(Panel(body, title=title, title_align="left"))
    console.print(_trail(client.events(str(execution.id))))
    if execution.isolation is not None:
        console.print(_isolation(execution.isolation))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def _outcome(execution: Execution) -> Table:
    usage = execution.usage
    rows: Sequence[tuple[str, object]] = (
        ("execution", execution.id),
        ("status", execution.status),
        ("reason", execution.reason or "-"),
        ("message", execution.message or "-"),
        ("exit code", execution.exit_code if execution.exit_code is not None else "-"),
        ("wall / CPU", f"{usage.wall_seconds or 0:.3f} s / {usage.cpu_seconds or 0:.3f} s"),
        ("peak memory", f"{(usage.peak_memory_bytes or 0) / 2**20:.1f} MiB"),
    )
    return _table("Outcome", ("", ""), rows)


def _trail(trail: AuditTrail) -> Table:
    rows = [
        (event.sequence, event.kind, _summary(event.data), event.hash[:12]) for event in trail.items
    ]
    state = "intact" if trail.intact else f"BROKEN at {trail.broken_at}"
    return _table(f"Audit trail, hash chain {state}", ("#", "event", "what", "hash"), rows)


def _summary(data: dict[str, Any]) -> str:
    if "to" in data:
        reason = f" ({data['reason']})" if data.get("reason") else ""
        return f"{data.get('from')} → {data['to']}{reason}"
    if "security_profile" in data:
        return f"profile {data['security_profile']}, request sha256 {data['request_sha256'][:12]}"
    return f"attempt {data['attempt']}" if "attempt" in data else ""


def _isolation(isolation: dict[str, Any]) -> Table:
    inside, engine = isolation["inside"], isolation["engine"]
    capabilities = inside["capabilities"]
    rows = (
        ("seccomp", f"mode {inside['seccomp_mode']}, {inside['seccomp_filters']} filter"),
        ("no new privileges", inside["no_new_privileges"]),
        ("user", f"{inside['uid']}:{inside['gid']}"),
        ("capabilities in effect", ", ".join(capabilities["effective"]) or "none"),
        ("capabilities reachable", ", ".join(capabilities["bounding"]) or "none"),
        ("AppArmor", inside["apparmor"]),
        ("user namespace map", " ".join(inside["uid_map"])),
        ("memory limit", f"{int(inside['cgroup']['memory_limit']) // 2**20} MiB, no swap"),
        ("CPU, processes", f"{engine['cpu_cores']} cores, {inside['cgroup']['pids_limit']} pids"),
        ("root file system", inside["mounts"]["/"]),
        ("not given by this host", "; ".join(isolation["missing"]) or "nothing"),
        ("network interfaces", ", ".join(inside["interfaces"]) or "none"),
    )
    return _table("Isolation in force, read off the sandbox", ("", ""), rows)


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Table:
    table = Table(*columns, title=title, title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


if __name__ == "__main__":
    sys.exit(run_main(main))
