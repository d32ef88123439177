"""A container for one program, by the Docker SDK alone: create, attach, start, read, wait, remove.

`python -m tests.benchmarks.drivers.one_shot`: with every hardening option that our sandboxes have,
and none of the checks, reports, records and queues around them.
"""

from typing import Any

import docker
from docker import APIClient

from tests.benchmarks.drivers.loop import SOURCE, serve
from tests.benchmarks.drivers.spec import engine_options, new_spec, settings
from worker.sandbox.container import create_arguments

LABEL = "dev.agentcore.benchmark"  # on containers of this suite that no worker looks after


def hardened(api: APIClient, options: frozenset[str]) -> dict[str, Any]:
    """Return the create call of our sandbox, with Python and the program in the guest's place."""
    chosen = settings()
    arguments = create_arguments(api, new_spec(chosen), {LABEL: "one-shot"}, options)
    return arguments | {
        "entrypoint": ["python3", "-c", SOURCE],
        "stdin_open": False,
        "name": None,
    }


def run_once(api: APIClient, arguments: dict[str, Any]) -> str:
    """Run one container to its end, remove it, and return what it wrote."""
    container = api.create_container(**arguments)["Id"]
    try:
        written = api.attach(container, stdout=True, stderr=True, stream=True, logs=False)
        api.start(container)
        output = b"".join(written).decode()
        api.wait(container)
        return output
    finally:
        api.remove_container(container, force=True, v=True)


def main() -> None:
    api = docker.from_env(timeout=60, max_pool_size=64).api
    arguments = hardened(api, engine_options(api))
    run_once(api, arguments)
    serve(lambda: run_once(api, arguments))


if __name__ == "__main__":
    main()
