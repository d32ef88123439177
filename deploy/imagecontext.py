"""What the sandbox image is made of: the build context, and a hash that says whether it changed."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = "sandbox.Dockerfile"
PREPARE = "prepare_rootfs.py"


def sandbox_context(root: Path = ROOT) -> dict[str, bytes]:
    """Return the files of the build context by their name in it."""
    recipe = root / "deploy" / "docker"
    guest = root / "worker" / "sandbox" / "guest"
    files = {name: (recipe / name).read_bytes() for name in (DOCKERFILE, PREPARE)}
    for path in sorted(guest.rglob("*.py")):
        files[f"guest/{path.relative_to(guest).as_posix()}"] = path.read_bytes()
    return files


def content_hash(files: Mapping[str, bytes], base_id: str) -> str:
    """Return a SHA-256 over names and contents of `files` and the base image's id."""
    digest = hashlib.sha256(base_id.encode())
    for name in sorted(files):
        digest.update(f"\0{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return digest.hexdigest()


def tar_of(files: Mapping[str, bytes]) -> io.BytesIO:
    """Pack `files` into a tar in memory; owners, modes and times do not depend on this machine."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    packed.seek(0)
    return packed
