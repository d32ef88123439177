"""Progress for people: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

Progress = Callable[[str], None]
"""Receives one short line about what is being done now."""

console = Console(highlight=False, soft_wrap=True)


@contextmanager
def step(title: str) -> Iterator[Progress]:
    """Show that `title` is under way; print it with its duration in seconds when it is done.

    Yields a function that replaces the text beside the spinner (or prints a line elsewhere).
    """
    started = time.monotonic()
    with console.status(escape(title)) as status:

        def tell(detail: str) -> None:
            if console.is_terminal:
                status.update(escape(f"{title}: {detail}"))
            else:
                console.print(f"  {escape(detail)}")

        yield tell
    console.print(f"[green]✓[/] {escape(title)} [dim]{time.monotonic() - started:.1f} s[/]")
