"""What docker-compose.yml must be told of this host, kept in `.env`, which Compose reads itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import docker
from docker.errors import DockerException

from deploy.engine import SOCKET
from deploy.errors import ComposeError
from deploy.stackimages import SERVICES
from deploy.system import last_line

MARK = "# Below: facts of this host, written anew by `make compose-up`. Lines above win."
INFO_TIMEOUT_SECONDS = 30


def facts(images: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of docker-compose.yml that depend on this host.

    `images` are names by variable, as `ensure_images` returns them. Raises `ComposeError`.
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
        name: images[name] for name, image in SERVICES.items() if images[name] != image.official
    }
    return {
        "DOCKER_GROUP_ID": str(SOCKET.stat().st_gid),
        "AGENTCORE_VOLUMES": str(root / "volumes"),
        **replaced,
    }


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write `values` to the end of `path`, over those of before; what people set there wins."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    own = text.partition(MARK)[0].rstrip("\n")
    taken = {line.split("=")[0].removeprefix("export ").strip() for line in own.splitlines()}
    lines = [f"{name}={value}" for name, value in values.items() if name not in taken]
    parts = [own, MARK, *lines] if own else [MARK, *lines]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
