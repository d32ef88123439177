"""Runs checkov, in an environment of its own: it pins what we use in other versions."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.errors import DeployError
from deploy.kubernetes.accepted import Finding
from deploy.kubernetes.files import HERE, ROOT
from deploy.kubernetes.rendering import TARGETS, render

LOCK = HERE / "checkov" / "requirements.lock"
INSTALL_TIMEOUT = 900  # seconds; a hundred packages, 80 MB
SCAN_TIMEOUT = 300  # seconds; five when idle


def environment() -> Path:
    """Return the folder of checkov's environment, as this lock file makes it."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    return ROOT / "build" / f"checkov-{digest}"


def install() -> Path:
    """Return checkov's program, installed with hashes if it is not there. Raises DeployError."""
    home = environment()
    done = home / "installed"  # the last thing that is made: without it, an install was cut off
    if not done.is_file():
        uv = Path(sys.executable).with_name("uv")
        home.parent.mkdir(exist_ok=True)
        _run([uv, "venv", "-q", "--clear", "--python", sys.executable, home], INSTALL_TIMEOUT)
        into = ("--python", home / "bin/python")
        _run([uv, "pip", "install", "-q", *into, "--require-hashes", "-r", LOCK], INSTALL_TIMEOUT)
        done.touch()
    return home / "bin" / "checkov"


def scan() -> list[Finding]:
    """Return all that checkov finds in what the overlays render to. Raises DeployError."""
    program = install()
    with tempfile.TemporaryDirectory() as folder:
        for name, source in TARGETS.items():
            (Path(folder) / f"{name}.yaml").write_text(render(source), "utf-8")
        told = _run(
            [program, "-d", folder, "--framework", "kubernetes", "--skip-download",
             "--soft-fail", "--quiet", "--compact", "-o", "json"],
            SCAN_TIMEOUT,
        )  # fmt: skip
    report: dict[str, Any] = json.loads(told)
    if report["summary"]["parsing_errors"] or not report["summary"]["passed"]:
        raise DeployError(f"checkov could not read the manifests: {report['summary']}")
    return [_finding(item) for item in report["results"]["failed_checks"]]


def _finding(item: dict[str, Any]) -> Finding:
    kind, *_, name = item["resource"].split(".")
    return Finding(
        check=item["check_id"],
        target=Path(item["file_path"]).stem,
        resource=f"{kind}/{name}",
        name=item["check_name"],
    )


def _run(command: list[str | Path], timeout: float) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DeployError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
