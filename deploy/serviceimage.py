"""The image of the service, built when its parts have changed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import APIError, DockerException
from docker.utils.build import exclude_paths

from deploy import standins
from deploy.errors import ImageError
from deploy.imagecontext import ROOT, content_hash
from deploy.images import BASE_LABEL, HASH_LABEL, about, build_image, version
from deploy.progress import Progress
from deploy.system import last_line
from deploy.wheels import TELL_ENVIRONMENT, wheels

DOCKERFILE = "deploy/docker/runtime.Dockerfile"
LOCK = "requirements.lock"
IMAGES = {"runtime": "agentcore/runtime:dev", "development": "agentcore/development:dev"}
# Kept under a name for the next build, which needs not install the packages again.
SYSTEM = "agentcore/service-system:dev"
BUILD_TIMEOUT_SECONDS = 900
LEFTOVERS = ("role=service", "stage=service-system", "stage=service-code")


def ensure_service_images(state: Path, say: Progress) -> dict[str, str]:
    """Return names by target of up-to-date service images, built if need be; raises `ImageError`.

    `state` keeps the downloaded packages.
    """
    client = docker.from_env(timeout=BUILD_TIMEOUT_SECONDS)
    try:
        base = standins.obtain(client, standins.PYTHON, say)
        base_id = str(client.images.get(base).id)
        files = service_context()
        told = about(base)
        labels = {HASH_LABEL: content_hash(files, base_id + version()), BASE_LABEL: base_id}
        stale = [target for target in IMAGES if not _is_current(client, IMAGES[target], labels)]
        if stale:
            environment = _environment_of(client, base)
            for name, content in wheels(ROOT / LOCK, environment, state, say).items():
                files[f"wheels/{name}"] = content
            say(f"building on {base}")
            _build(client, files, told, "system", SYSTEM, {})
            for target in stale:
                _build(client, files, told, target, IMAGES[target], labels)
            _remove_leftovers(client)
    except (DockerException, OSError) as error:
        raise ImageError(f"cannot build the service image: {last_line(str(error))}") from error
    finally:
        client.close()
    return dict(IMAGES)


def service_context(root: Path = ROOT) -> dict[str, bytes]:
    """Return the files of the build context by their names in it, as .dockerignore says."""
    patterns = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in map(str.strip, patterns) if line and not line.startswith("#")]
    names = exclude_paths(str(root), rules, dockerfile=DOCKERFILE)
    paths = {name: root / name for name in sorted(names) if not name.startswith("wheels/")}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def _is_current(client: docker.DockerClient, name: str, labels: dict[str, str]) -> bool:
    try:
        present = client.images.get(name).labels
    except docker.errors.ImageNotFound:
        return False
    return bool(present.get(HASH_LABEL) == labels[HASH_LABEL])


def _environment_of(client: docker.DockerClient, base: str) -> dict[str, str]:
    """Return what the base's Python says of itself."""
    said: bytes = client.containers.run(
        base, ["python3", "-c", TELL_ENVIRONMENT], remove=True, network_mode="none"
    )
    return dict(json.loads(said))


def _build(
    client: docker.DockerClient,
    files: dict[str, bytes],
    arguments: dict[str, str],
    target: str,
    name: str,
    labels: dict[str, str],
) -> None:
    build_image(
        client,
        files,
        dockerfile=DOCKERFILE,
        tag=name,
        arguments=arguments,
        labels=labels,
        target=target,
    )


def _remove_leftovers(client: docker.DockerClient) -> None:
    """Remove images of ours that another one has replaced; what is in use stays."""
    for label in LEFTOVERS:
        filters = {"dangling": True, "label": f"dev.agentcore.{label}"}
        for image in client.images.list(filters=filters):
            with suppress(APIError):
                client.images.remove(str(image.id))
