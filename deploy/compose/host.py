"""What docker-compose.yml must be told of this host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from deploy import compose_secrets
from deploy.engine import SOCKET
from deploy.errors import ComposeError
from deploy.stackimages import SERVICES
from deploy.system import last_line

INFO_TIMEOUT_SECONDS = 30


def facts(images: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of docker-compose.yml that depend on this host.

    `images` are names by variable, as `ensure_images` returns them; what it left out is left out
    here. Raises `ComposeError`.
    """
    if os.environ.get("DOCKER_HOST"):
        raise ComposeError(
            f"DOCKER_HOST is set, but the worker is given {SOCKET} of this host; unset it"
        )
    try:
        client = docker.from_env(timeout=INFO_TIMEOUT_SECONDS)
        try:
            root = Path(client.info()["DockerRootDir"])
        finally:
            client.close()
    except (DockerException, OSError) as error:
        raise ComposeError(f"the engine does not answer: {last_line(str(error))}") from error
    replaced = {
        name: images[name]
        for name, image in SERVICES.items()
        if images.get(name, image.official) != image.official
    }
    return {
        "DOCKER_GROUP_ID": str(SOCKET.stat().st_gid),
        "AGENTCORE_VOLUMES": str(root / "volumes"),
        **replaced,
    }


def fingerprint(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variable that changes with the secrets of `config`; raises `ComposeError`."""
    try:
        files = [Path(item["file"]) for item in config["secrets"].values()]
        return {"AGENTCORE_SECRETS_HASH": compose_secrets.fingerprint(files)}
    except OSError as error:
        raise ComposeError(f"cannot read the secret {error.filename}: {error.strerror}") from error
