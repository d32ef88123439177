"""What is refused before anything is started or replaced, each in a line that says what to do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound, NotFound

from deploy.compose import dotenv, program
from deploy.errors import ComposeError
from deploy.imagecontext import ROOT
from deploy.system import last_line

DEFAULTS = ROOT / "deploy/docker/settings.env"
ENGINE_TIMEOUT_SECONDS = 30
ASK_TIMEOUT_SECONDS = 120
DRAIN = "AGENTCORE_DRAIN_SECONDS"
WRONG_SETTING = "error: "  # how a process starts the line about it
FILE_SUFFIX = "_FILE"


def settings_file(config: Mapping[str, Any]) -> None:
    """Refuse a file of settings with what docker-compose.yml sets itself, as that would win."""
    by_env = set(re.findall(r"\$\{(AGENTCORE_\w+)", program.FILE.read_text(encoding="utf-8")))
    ours = [service for service in config["services"].values() if service.get("env_file")]
    fixed = {_base(name) for service in ours for name in service["environment"]}
    files = {Path(file["path"]) for service in ours for file in service["env_file"]}
    for path in sorted(files - {DEFAULTS}):
        for name in _read(path):
            if _base(name) in by_env:
                raise ComposeError(f"{path}: {name} has no effect there; set {_base(name)} in .env")
            if _base(name) in fixed:
                raise ComposeError(f"{path}: {name} is docker-compose.yml's own; take the line out")


def _read(path: Path) -> dict[str, str]:
    try:
        return dotenv.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ComposeError(f"cannot read AGENTCORE_SETTINGS, {path}: {error}") from error


def _base(name: str) -> str:
    return name.removesuffix(FILE_SUFFIX)


def secrets_are_there(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on without `folder` where a database knows the passwords that were in it."""
    volume = str(config["volumes"]["postgres"]["name"])
    if not folder.exists() and _is_at_engine("volumes", volume):
        compose = " ".join(program.words())
        raise ComposeError(
            f"{folder} is missing, and the database in the volume {volume} knows its passwords "
            f"alone: restore the folder, or remove all data with `{compose} down --volumes`"
        )


def image_is_there(config: Mapping[str, Any]) -> None:
    """Get the service's image, if it is an operator's own; refuse where it must not be pulled."""
    service = config["services"]["migrate"]
    if _is_at_engine("images", service["image"]):
        return
    if service.get("pull_policy") in ("never", "build"):
        raise ComposeError(
            f"there is no image {service['image']} here: pull or build it, or set "
            "AGENTCORE_PULL_POLICY=missing in .env"
        )
    program.run("pull", "migrate")


def _is_at_engine(kind: str, name: str) -> bool:
    client = docker.from_env(timeout=ENGINE_TIMEOUT_SECONDS)
    try:
        getattr(client, kind).get(name)
    except (NotFound, ImageNotFound):
        return False
    except (DockerException, OSError) as error:
        raise ComposeError(f"the engine does not answer: {last_line(str(error))}") from error
    finally:
        client.close()
    return True


def settings_are_right(config: Mapping[str, Any]) -> None:
    """Ask the new image whether it takes the settings, in a container that replaces nothing."""
    drain = config["services"]["worker"]["environment"][DRAIN]
    # The one setting that .env gives to a single service.
    options = ("--rm", "--no-deps", "-T", "-e", f"{DRAIN}={drain}")
    words = ("migrate", "python", "-m", "worker", "settings")
    try:
        done = program.ask("run", *options, *words, timeout=ASK_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ComposeError(f"no word on the settings in {ASK_TIMEOUT_SECONDS} s") from error
    if done.returncode == 0 or "invalid choice: 'settings'" in done.stderr:
        return  # an older image, to which somebody goes back, has no such command
    told = [line for line in done.stderr.splitlines() if line.startswith(WRONG_SETTING)]
    raise ComposeError((told or [last_line(done.stderr)])[-1].removeprefix(WRONG_SETTING))


def readable(path: Path) -> None:
    """Let everybody read a file that is mounted into a container, whatever the checkout's umask."""
    mode = path.stat().st_mode
    if mode & 0o444 != 0o444:
        try:
            path.chmod(mode | 0o444)
        except PermissionError as error:
            raise ComposeError(f"{path} is not readable for all; chmod a+r it") from error
