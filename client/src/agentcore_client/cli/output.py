"""What the command writes: results to stdout, all talk to stderr, hostile text made harmless."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentcore_client.responses import Stream
from agentcore_client.text import visible, visible_line

PIPE_COLUMNS = 240  # characters of a table's line when nobody looks at it on a screen


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at `stream` on a screen."""
    return stream.isatty()


def console(stream: TextIO) -> Console:
    """Return a console that takes nothing it is given for markup, emoji or numbers to colour."""
    width = None if is_terminal(stream) else PIPE_COLUMNS
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=width)


def tell(message: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"agentcore: {visible_line(message, limit=4000)}\n")
    sys.stderr.flush()


def print_line(text: object) -> None:
    """Write one line to stdout."""
    sys.stdout.write(f"{visible_line(text)}\n")


def print_json(value: Any) -> None:
    """Write JSON to stdout, in ASCII: no program's bytes reach a terminal through it."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, heading in enumerate(headings):
        # The first column names the thing and is what people copy.
        table.add_column(heading, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible_line("" if cell is None else cell)) for cell in row))
    console(sys.stdout).print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Write names and values to stdout, leaving out what is not known."""
    known = [(name, value) for name, value in fields if value not in (None, "")]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        print_line(f"{name:<{width}}  {value}")


def write_stream(stream: Stream | None, to: TextIO, name: str) -> None:
    """Write a program's output: its very bytes to a pipe, made harmless to a terminal."""
    if stream is None:
        return
    data = stream.data
    if is_terminal(to):
        to.write(visible(data.decode("utf-8", "backslashreplace")))
    else:
        to.flush()
        to.buffer.write(data)
    to.flush()
    if stream.truncated:
        tell(f"{name} was cut: {len(data)} of {stream.total_bytes} bytes were kept")


def write_streams(stdout: Stream | None, stderr: Stream | None) -> None:
    """Write both output streams of a program to ours."""
    write_stream(stdout, sys.stdout, "stdout")
    write_stream(stderr, sys.stderr, "stderr")
