"""The sandbox image, built when its parts have changed: `python -m deploy.images`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from deploy.baseimage import local_base, obtain_base
from deploy.entry import run_main
from deploy.errors import ImageError
from deploy.imagecontext import DOCKERFILE, ROOT, content_hash, sandbox_context, tar_of
from deploy.progress import Progress, step
from deploy.system import last_line

SANDBOX_IMAGE = "agentcore/sandbox:dev"
HASH_LABEL = "dev.agentcore.content-hash"
BASE_LABEL = "dev.agentcore.base-id"
BUILD_TIMEOUT_SECONDS = 300
CLEANUP_TIMEOUT_SECONDS = 20
GIT_TIMEOUT_SECONDS = 10
LEFTOVER_LABELS = ("dev.agentcore.stage=prepare", "dev.agentcore.role=sandbox")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # the builder's, around a program's standard error
# Lines of the builder itself, which say nothing about why a program in it failed.
BUILDER_CHATTER = ("--->", "Removing intermediate", "Step ", "Successfully ")


def ensure_sandbox_image(progress: Progress) -> str:
    """Return the name of an up-to-date sandbox image, building it first if its parts changed.

    Raises `ImageError` with one line when it cannot be built.
    """
    try:
        client = docker.from_env(timeout=BUILD_TIMEOUT_SECONDS)
        try:
            _ensure(client, progress)
        finally:
            client.close()
    except (DockerException, OSError) as error:
        raise ImageError(f"cannot build {SANDBOX_IMAGE}: {last_line(str(error))}") from error
    return SANDBOX_IMAGE


def _ensure(client: docker.DockerClient, progress: Progress) -> None:
    files = sandbox_context()
    if not any(name.startswith("guest/") for name in files):
        raise ImageError("worker/sandbox/guest/ is missing from this checkout; restore it")
    labels = _labels(client)
    # A base that was deleted to save room does not make the image that came of it wrong.
    here = local_base(client)
    base_id = here[1] if here else labels.get(BASE_LABEL, "")
    if labels.get(HASH_LABEL) == content_hash(files, base_id + version()):
        return
    base, base_id = obtain_base(client, progress)
    progress(f"building on {base}")
    labels = {HASH_LABEL: content_hash(files, base_id + version()), BASE_LABEL: base_id}
    build_image(
        client,
        files,
        dockerfile=DOCKERFILE,
        tag=SANDBOX_IMAGE,
        arguments=about(base),
        labels=labels,
    )
    _remove_leftovers()


def _remove_leftovers() -> None:
    """Remove the build's first stage and the image that was replaced; nothing of anyone else's.

    One by one: the engine's prune waits for the locks of all containers of the machine. What is
    still in use stays until the next build.
    """
    client = docker.from_env(timeout=CLEANUP_TIMEOUT_SECONDS)
    with suppress(DockerException, OSError):
        for label in LEFTOVER_LABELS:
            for image in client.images.list(filters={"dangling": True, "label": label}):
                with suppress(APIError):
                    client.images.remove(str(image.id))
    client.close()


def _labels(client: docker.DockerClient) -> dict[str, str]:
    try:
        return dict(client.images.get(SANDBOX_IMAGE).labels)
    except ImageNotFound:
        return {}


def about(base: str) -> dict[str, str]:
    """Return the arguments of a build that its labels tell of it."""
    return {"BASE": base, "VERSION": version(), "REVISION": _revision()}


def version() -> str:
    """Return the version of this checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def _revision() -> str:
    """Return the commit of this checkout, with `-dirty` when changed; `unknown` without Git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=GIT_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def build_image(
    client: docker.DockerClient,
    files: dict[str, bytes],
    *,
    dockerfile: str,
    tag: str,
    arguments: dict[str, str],
    labels: dict[str, str],
    target: str | None = None,
) -> None:
    """Build by the Engine's API: the command-line client may come without its build plugin.

    Without a network. Raises `ImageError`.
    """
    try:
        lines = client.api.build(
            fileobj=tar_of(files),
            custom_context=True,
            dockerfile=dockerfile,
            target=target,
            tag=tag,
            buildargs=arguments,
            labels=labels,
            network_mode="none",
            rm=True,
            forcerm=True,
            decode=True,
        )
        raise_on_error(lines)
    except APIError as error:
        raise ImageError(f"the image build failed: {last_line(str(error))}") from error


def raise_on_error(lines: Any) -> None:
    """Read the build's output to its end; an error is told with what the program said last."""
    said = ""
    for line in lines:
        if "error" in line:
            raise ImageError(f"the image build failed: {last_line(line['error'])} {said}".rstrip())
        text = last_line(COLOURS.sub("", line.get("stream", "")))
        if text and not text.startswith(BUILDER_CHATTER):
            said = f"({text})"


def main() -> int:
    """Bring the image up to date; returns 0."""
    with step("Sandbox image") as progress:
        ensure_sandbox_image(progress)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
