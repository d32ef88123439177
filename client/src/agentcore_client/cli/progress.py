"""A bar on stderr for what takes long enough that somebody wonders."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agentcore_client.cli.output import console, is_terminal
from agentcore_client.responses import InputResult

SLOW_SECONDS = 2.0  # after which the bar appears


@contextmanager
def slow_progress(inputs: int) -> Iterator[Callable[[InputResult], None]]:
    """Give what is to be called with each result; after a while they are counted on a screen.

    Not where the results go to the same screen: they show it themselves.
    """
    if not is_terminal(sys.stderr) or is_terminal(sys.stdout):
        yield lambda _: None
        return
    words = TextColumn("{task.fields[failed]} not succeeded")
    columns = (BarColumn(), MofNCompleteColumn(), words, TimeElapsedColumn())
    bar = Progress(*columns, console=console(sys.stderr), transient=True, redirect_stdout=False)
    task = bar.add_task("", total=inputs, failed=0)
    failed = 0

    def ended(result: InputResult) -> None:
        nonlocal failed
        failed += not result.succeeded
        bar.update(task, advance=1, failed=failed)

    timer = threading.Timer(SLOW_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
