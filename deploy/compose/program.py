"""Finds and runs Compose: the one of our environment, else the plugin of the docker command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.errors import ComposeError
from deploy.imagecontext import ROOT
from deploy.system import last_line

FILE = ROOT / "docker-compose.yml"


def words() -> list[str]:
    """Return what starts Compose. Raises `ComposeError` where there is none."""
    own = Path(sys.executable).with_name("docker-compose")
    if own.exists():
        return [str(own)]
    if shutil.which("docker"):
        return ["docker", "compose"]
    raise ComposeError("there is no Docker Compose here; run make bootstrap")


def command() -> list[str]:
    """Return what starts Compose with our file, from any folder; raises as `words` does."""
    return [*words(), "--file", str(FILE)]


def run(*options: str) -> None:
    """Run Compose with these words, its output shown. Raises `ComposeError` when it fails."""
    done = subprocess.run([*command(), *options], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise ComposeError(f"docker compose {' '.join(options)}: exit code {done.returncode}")


def ask(*options: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run Compose with these words and return what it said. `timeout` is in seconds."""
    return subprocess.run(
        [*command(), *options],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )


def config() -> dict[str, Any]:
    """Return docker-compose.yml as Compose reads it, but for what its files of settings say."""
    done = ask("config", "--no-env-resolution", "--format", "json")
    if done.returncode != 0:
        raise ComposeError(f"docker-compose.yml with this .env: {last_line(done.stderr)}")
    return dict(json.loads(done.stdout))


def address(service: str, port: int) -> str:
    """Return where the port of a running service is published, as `127.0.0.1:8002`."""
    done = ask("port", service, str(port))
    if done.returncode != 0:
        raise ComposeError(f"{service} publishes no port {port}: {last_line(done.stderr)}")
    return done.stdout.strip()
