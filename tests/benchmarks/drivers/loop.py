"""The side of a driver process: runs programs when told, and answers what each took.

Standard library only: it also runs in the peers' own environments. A line on the standard input
is `{"count": 64, "in_flight": 8}`; the answer is a line of JSON, with an `error` if one failed.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SOURCE = "print(sum(range(10)))"
EXPECTED = "45"  # what every subject's program writes
MOST_IN_FLIGHT = 256
READY_TIMEOUT = 30  # seconds


def serve(run: Callable[[], str], ready: Callable[[], object] = lambda: None) -> None:
    """Measure `run` as often as told; it returns what its program wrote.

    `ready` is called before the clock starts, in each thread that will call `run`.
    """
    with ThreadPoolExecutor(MOST_IN_FLIGHT) as threads:
        answer_all(lambda asked: _measure(run, ready, threads, **asked))


def answer_all(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer each line of the standard input with a line, until it ends."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Exception as error:
            # Whatever a peer's library raises is told to whoever asked.
            found = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:600]}
        print(json.dumps(found), file=answers, flush=True)


def _measure(
    run: Callable[[], str],
    ready: Callable[[], object],
    threads: ThreadPoolExecutor,
    *,
    count: int,
    in_flight: int,
) -> dict[str, Any]:
    """Run in a closed loop: as one ends, the next begins."""
    left = iter(range(count))
    lock = threading.Lock()
    all_ready = threading.Barrier(in_flight + 1)
    took: list[float] = []

    def one_after_the_other() -> None:
        ready()
        all_ready.wait()
        while True:
            with lock:
                if next(left, None) is None:
                    return
            begun = time.perf_counter()
            written = run()
            took.append((time.perf_counter() - begun) * 1000)
            if written.strip() != EXPECTED:
                raise RuntimeError(f"the program wrote {written[:200]!r}")

    tasks = [threads.submit(one_after_the_other) for _ in range(in_flight)]
    all_ready.wait(READY_TIMEOUT)
    begun = time.perf_counter()
    for task in tasks:
        task.result()
    return {"milliseconds": took, "seconds": time.perf_counter() - begun}
