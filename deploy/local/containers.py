"""What a stopped worker leaves in the engine: containers that ended with it, not yet removed."""

from __future__ import annotations

import docker
from docker.errors import DockerException

from worker.sandbox.container import LABEL_DEPLOYMENT


def remove_containers(deployment: str) -> int:
    """Remove all containers of a deployment whose workers are stopped; return how many.

    An engine that does not answer is left alone: the next worker's sweep finds what is there.
    """
    try:
        client = docker.from_env(timeout=30)
        found = client.containers.list(
            all=True, filters={"label": f"{LABEL_DEPLOYMENT}={deployment}"}, ignore_removed=True
        )
        for container in found:
            container.remove(force=True, v=True)
    except DockerException:
        return 0
    return len(found)
