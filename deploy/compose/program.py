"""Finds and runs Compose: the one of our environment, else the plugin of the docker command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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


def address(service: str, port: int) -> str:
    """Return where the port of a running service is published, as `127.0.0.1:8002`."""
    question = [*command(), "port", service, str(port)]
    done = subprocess.run(question, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ComposeError(f"{service} publishes no port {port}: {last_line(done.stderr)}")
    return done.stdout.strip()
