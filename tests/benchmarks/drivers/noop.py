"""A Celery message and its answer, nothing else: the floor under any use of the broker.

`python -m tests.benchmarks.drivers.noop` is the driver; `... worker` is the worker, on the threads
pool as ours. BENCH_BROKER names the broker.
"""

import os
import sys

from celery import Celery

from tests.benchmarks.drivers.loop import EXPECTED, serve

app = Celery("noop", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BROKER"])
app.conf.update(
    task_default_queue="bench-noop",
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
ANSWER_TIMEOUT = 60  # seconds


@app.task(name="noop")
def noop() -> None:
    """Do nothing."""


def main() -> None:
    if sys.argv[1:] == ["worker"]:
        options = ["--pool=threads", "--concurrency=32", "--loglevel=warning", "--without-gossip"]
        app.worker_main(["worker", *options])
        return

    def run() -> str:
        noop.delay().get(timeout=ANSWER_TIMEOUT, interval=0.001)
        return EXPECTED

    run()
    serve(run)


if __name__ == "__main__":
    main()
