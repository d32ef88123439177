"""What `kubectl kustomize` makes of the manifests; needs no cluster."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from deploy.errors import DeployError
from deploy.kubernetes.files import HERE

# What an operator applies, by the name that people and checks know it by.
TARGETS = {
    "production": HERE / "overlays/production",
    "development": HERE / "overlays/development",
    "node-profiles": HERE / "node-profiles",
}
TIMEOUT = 60  # seconds; one takes a tenth of one


def kubectl() -> str:
    """Return the path of kubectl: this environment's, or the PATH's. Raises DeployError."""
    own = Path(sys.executable).with_name("kubectl")
    found = str(own) if own.is_file() else shutil.which("kubectl")
    if found is None:
        raise DeployError("there is no kubectl; `make bootstrap` installs one")
    return found


def render(folder: Path) -> str:
    """Return the manifests of a kustomization as YAML. Raises DeployError."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(folder)],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DeployError(f"{folder}: {done.stderr.strip()}")
    return done.stdout
