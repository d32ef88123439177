"""A virtual environment for each peer, from pinned packages and their hashes, kept between runs."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.piplog import explain
from tests.benchmarks.peers.errors import PeerError
from tests.benchmarks.scene import FOLDER

HERE = Path(__file__).parent
INSTALL_TIMEOUT = 300  # seconds


def peer_version(name: str) -> str:
    """Return what of a peer is measured, as its pins ask for it."""
    return ", ".join((HERE / f"{name}.in").read_text().split())


def peer_python(name: str) -> Path:
    """Return the Python that has the peer's packages, installed if need be. Raises PeerError."""
    pins = HERE / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    folder = FOLDER / "peers" / name
    stamp = folder / "pins.sha256"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _install(folder, pins)
        stamp.write_text(digest)
    return folder / "bin" / "python"


def _install(folder: Path, pins: Path) -> None:
    log = folder.with_suffix(".log")
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    with log.open("w") as output:
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(folder / "bin" / "python"), *pip, "--require-hashes", "-r", str(pins)],
        ):
            try:
                subprocess.run(
                    command, stdout=output, stderr=output, check=True, timeout=INSTALL_TIMEOUT
                )
            except subprocess.CalledProcessError as error:
                why = explain(log.read_text(errors="replace"), log)
                raise PeerError(f"does not install: {why}") from error
            except subprocess.TimeoutExpired as error:
                raise PeerError(f"not installed within {INSTALL_TIMEOUT} s") from error
