"""Our sandbox by itself, through the backend that the worker uses: no database, no broker, no API.

`python -m tests.benchmarks.drivers.alone`; AGENTCORE_* as of a worker.
"""

import os

from models.settings import load_settings
from tests.benchmarks.drivers.loop import serve
from tests.benchmarks.drivers.spec import new_spec
from tests.harness import wait_until
from worker.sandbox.docker_backend import DockerBackend
from worker.warmup import default_specs


def main() -> None:
    settings = load_settings()
    backend = DockerBackend(settings, f"benchmark:{os.getpid()}")
    backend.warm_up(default_specs(settings))

    def run() -> str:
        outcome = backend.run(new_spec(settings), lambda _isolation: None)
        return outcome.stdout.kept.decode()

    def ready() -> None:
        wait_until(lambda: backend._pool.waiting == settings.pool_size, what="a full pool")

    run()
    serve(run, ready)
    backend.close()


if __name__ == "__main__":
    main()
