"""Every image of docker-compose.yml, and the sandbox's: `python -m deploy.stackimages`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import docker

from deploy import standins
from deploy.engine import ensure_engine
from deploy.entry import run_main
from deploy.errors import ImageError
from deploy.images import ensure_sandbox_image
from deploy.local.stack import LocalStack
from deploy.progress import Progress, console, step
from deploy.serviceimage import ensure_service_images

CLIENT_TIMEOUT_SECONDS = 300
MEGABYTE = 1_000_000  # bytes, as Docker counts them
# What each may take at most; the others are not ours.
LIMIT_MEGABYTES = {"agentcore/sandbox:dev": 80, "agentcore/runtime:dev": 300}
PARTS = {
    "sandbox": "Sandbox image",
    "service": "Service image",
    "services": "Images of PostgreSQL, Redis and a registry",
}
# Which variable of docker-compose.yml names an image of the operator's own in a part's place.
VARIABLES = {"sandbox": "AGENTCORE_SANDBOX_IMAGE", "service": "AGENTCORE_IMAGE"}
# The variables of the others, and what is meant by each.
SERVICES = {
    "AGENTCORE_POSTGRES_IMAGE": standins.POSTGRES,
    "AGENTCORE_REDIS_IMAGE": standins.REDIS,
    "AGENTCORE_REGISTRY_IMAGE": standins.REGISTRY,
}


def ensure_images(
    parts: Iterable[str],
    state: Path,
    *,
    asked: Container[str] = (),
    kept: Mapping[str, str] = MappingProxyType({}),
    spare: Container[str] = (),
) -> dict[str, str]:
    """Make what is missing of `parts` of PARTS; returns the images' names by what they are.

    Those of services have their variables of docker-compose.yml as keys. Variables in `asked` name
    images of the operator's own, which nobody makes or pulls here; `kept` are stand-ins to stay
    with, `spare` what may be missing at last. Raises `DeployError`.
    """
    makers: dict[str, Callable[[Progress], dict[str, str]]] = {
        "sandbox": lambda say: {"sandbox": ensure_sandbox_image(say)},
        "service": lambda say: ensure_service_images(state, say),
        "services": lambda say: _ensure_services(say, asked, kept, spare),
    }
    images: dict[str, str] = {}
    for part in parts:
        if VARIABLES.get(part, "") not in asked:
            with step(PARTS[part]) as say:
                images |= makers[part](say)
    return images


def _ensure_services(
    say: Progress, asked: Container[str], kept: Mapping[str, str], spare: Container[str]
) -> dict[str, str]:
    client = docker.from_env(timeout=CLIENT_TIMEOUT_SECONDS)
    images: dict[str, str] = {}
    try:
        for name in (it for it in SERVICES if it not in asked):
            try:
                images[name] = standins.obtain(client, SERVICES[name], say, kept.get(name, ""))
            except ImageError as error:
                if name not in spare:
                    raise
                say(f"without {SERVICES[name].official}: {error}")
    finally:
        client.close()
    return images


def sizes(names: list[str]) -> dict[str, float]:
    """Return the sizes of local images in megabytes."""
    client = docker.from_env(timeout=CLIENT_TIMEOUT_SECONDS)
    try:
        return {name: client.images.get(name).attrs["Size"] / MEGABYTE for name in names}
    finally:
        client.close()


def main() -> int:
    """Make all images and print their sizes; returns 1 when one is larger than it may be."""
    parser = argparse.ArgumentParser(prog="python -m deploy.stackimages", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}; without any, all")
    parts = parser.parse_args().part or list(PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"{', '.join(unknown)}: none of {', '.join(PARTS)}")
    state = LocalStack().state
    with step("Docker engine") as say:
        ensure_engine(state, say)
    too_large = False
    for name, size in sizes(sorted(set(ensure_images(parts, state).values()))).items():
        limit = LIMIT_MEGABYTES.get(name)
        too_large |= limit is not None and size > limit
        console.print(f"  {name:40} {size:6.1f} MB" + (f"  (at most {limit})" if limit else ""))
    return int(too_large)


if __name__ == "__main__":
    sys.exit(run_main(main))
