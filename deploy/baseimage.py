"""Images to build on: the official ones where a registry answers, else this machine's own Debian
packages, unpacked by mmdebstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from deploy.errors import ImageError
from deploy.progress import Progress
from deploy.system import apt_install, is_debian_like, last_line, os_release, root_prefix

OFFICIAL = "python:3.12-slim"
# A registry that does not answer must not hold up a machine that can do without it.
PULL_SILENCE_SECONDS = 10
PULL_LIMIT_SECONDS = 120.0
BOOTSTRAP_LIMIT_SECONDS = 300
PACKAGES = "python3,ca-certificates,tzdata"


def debian_tag(release: Mapping[str, str]) -> str:
    """Return the name of the base made from the packages of `release`."""
    return f"agentcore/base:{release.get('ID', 'debian')}-{release.get('VERSION_ID', 'testing')}"


def image_id(client: docker.DockerClient, name: str) -> str | None:
    """Return the id of a local image, None where there is none of that name."""
    try:
        return client.images.get(name).id
    except ImageNotFound:
        return None


def local_base(client: docker.DockerClient) -> tuple[str, str] | None:
    """Return name and id of a base that is already here."""
    for name in (OFFICIAL, debian_tag(os_release())):
        found = image_id(client, name)
        if found is not None:
            return name, found
    return None


def obtain_base(client: docker.DockerClient, say: Progress) -> tuple[str, str]:
    """Return name and id of a base, fetching or making one if need be; raises `ImageError`."""
    here = local_base(client)
    if here is not None:
        return here
    say(f"pulling {OFFICIAL}")
    refusal = pull(OFFICIAL)
    if refusal is not None:
        say(f"no {OFFICIAL} from the registry ({refusal})")
        import_packages(client, debian_tag(os_release()), PACKAGES, say, stands_for=OFFICIAL)
    made = local_base(client)
    if made is None:
        raise ImageError(f"no base image: let this machine pull {OFFICIAL}, then run it again")
    return made


def pull(name: str) -> str | None:
    """Pull `name`; returns None, or one line about why there is none."""
    # A client of its own: its time limit is for silence between two lines of progress.
    client = docker.from_env(timeout=PULL_SILENCE_SECONDS)
    deadline = time.monotonic() + PULL_LIMIT_SECONDS
    repository, _, tag = name.partition(":")
    try:
        for line in client.api.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in line:
                return last_line(str(line["error"]))
            if time.monotonic() > deadline:
                return f"not finished after {PULL_LIMIT_SECONDS:.0f} s"
    except APIError as error:
        return last_line(str(error.explanation or error))
    except (DockerException, OSError) as error:
        return last_line(str(error))
    finally:
        client.close()
    return None


def import_packages(
    client: docker.DockerClient,
    name: str,
    packages: str,
    say: Progress,
    *,
    stands_for: str,
    hooks: Sequence[str] = (),
    changes: Sequence[str] = (),
) -> None:
    """Make the image `name` of this machine's own Debian packages; raises `ImageError`.

    `hooks` are shell commands on the unpacked root, `$1`; `changes` instructions of a Dockerfile.
    """
    release = os_release()
    suite = release.get("VERSION_CODENAME", "")
    if not is_debian_like(release) or not suite:
        raise ImageError(f"no base image: let this machine pull {stands_for}, then run it again")
    if shutil.which("mmdebstrap") is None:
        apt_install("mmdebstrap", why="no registry gives a base image", say=say)
    say(f"unpacking {packages.partition(',')[0]} from this machine's {suite} packages")
    with tempfile.TemporaryDirectory(prefix="agentcore-base-") as folder:
        archive = Path(folder, "base.tar")
        unpack_packages(suite, archive, packages, hooks)
        repository, _, tag = name.partition(":")
        try:
            client.api.import_image_from_file(
                str(archive), repository=repository, tag=tag, changes=list(changes)
            )
        except APIError as error:
            raise ImageError(f"Docker refused the base image: {error.explanation}") from error


def unpack_packages(
    suite: str, archive: Path, packages: str = PACKAGES, hooks: Sequence[str] = ()
) -> None:
    """Write a root filesystem of `suite` to the tar `archive`; raises `ImageError`."""
    words = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={packages}"]
    # Devices are the engine's business; a tar without them can be imported rootless.
    words += ["--skip=output/dev"]
    # mmdebstrap copies these from this machine; the engine mounts its own over them.
    words += ['--extract-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"']
    words += [f"--extract-hook={hook}" for hook in hooks]
    words += [suite, "-", *_apt_sources()]
    try:
        with archive.open("wb") as output:
            done = subprocess.run(
                [*(root_prefix() or ()), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=BOOTSTRAP_LIMIT_SECONDS,
            )
    except subprocess.TimeoutExpired as error:
        limit = BOOTSTRAP_LIMIT_SECONDS
        raise ImageError(f"mmdebstrap did not end in {limit} s; check the network") from error
    if done.returncode != 0:
        reason = last_line(done.stderr) or f"exit code {done.returncode}"
        raise ImageError(f"mmdebstrap could not unpack {suite}: {reason}")


def _apt_sources() -> list[str]:
    """Return the file with this machine's own package mirror, so that no other is asked."""
    for name in ("sources.list.d/debian.sources", "sources.list.d/ubuntu.sources", "sources.list"):
        path = Path("/etc/apt", name)
        if os.access(path, os.R_OK) and _says_something(path.read_text(errors="replace")):
            return [str(path)]
    return []


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
