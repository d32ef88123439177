"""Standard output of a proxy by itself: JSON lines, written where nothing else waits for them."""

import json
import os
import queue
import threading
import time
from contextlib import suppress
from typing import Any

LAST_LINES_SECONDS = 2.0  # for the reader of standard output to take what is left


class Printer:
    """Writes JSON lines to standard output in a thread: a full pipe must not stop the proxy."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[list[dict[str, Any]]] = queue.Queue(maxsize=1)
        threading.Thread(target=self._work, daemon=True).start()

    def is_free(self) -> bool:
        """Whether `offer` takes something now; until then decisions wait in their ledger."""
        return self._waiting.unfinished_tasks == 0

    def offer(self, lines: list[dict[str, Any]]) -> None:
        """Write some lines soon."""
        self._waiting.put_nowait(lines)

    def finish(self, lines: list[dict[str, Any]]) -> None:
        """Write the last lines, if the reader takes them in time."""
        end = time.monotonic() + LAST_LINES_SECONDS
        with suppress(queue.Full):
            self._waiting.put(lines, timeout=LAST_LINES_SECONDS)
        while not self.is_free() and time.monotonic() < end:
            time.sleep(0.01)

    def _work(self) -> None:
        while True:
            text = "".join(json.dumps(line) + "\n" for line in self._waiting.get())
            data = memoryview(text.encode())
            # Not by sys.stdout, whose lock would keep the process from its end.
            with suppress(OSError):
                while data:
                    data = data[os.write(1, data) :]
            self._waiting.task_done()
