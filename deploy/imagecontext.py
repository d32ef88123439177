"""What the sandbox image is made of: the build context, and a hash that says whether it changed."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from deploy.errors import ImageError

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = "sandbox.Dockerfile"
PREPARE = "prepare_rootfs.py"
POLICY_PACKAGE = "RestrictedPython"  # pure Python; as locked and installed for the worker itself


def sandbox_context(root: Path = ROOT) -> dict[str, bytes]:
    """Return the files of the build context by their name in it."""
    recipe = root / "deploy" / "docker"
    guest = root / "worker" / "sandbox" / "guest"
    files = {name: (recipe / name).read_bytes() for name in (DOCKERFILE, PREPARE)}
    for path in sorted(guest.rglob("*.py")):
        files[f"guest/{path.relative_to(guest).as_posix()}"] = path.read_bytes()
    return files | _policy_package()


def _policy_package() -> dict[str, bytes]:
    """Return the modules of RestrictedPython and its licence, as this environment has them."""
    try:
        package = distribution(POLICY_PACKAGE)
    except PackageNotFoundError as error:
        raise ImageError(f"{POLICY_PACKAGE} is not installed here; run make bootstrap") from error
    found = {path: content for path, content in _contents(package) if _is_wanted(path)}
    return {f"vendor/{POLICY_PACKAGE}/{Path(path).name}": found[path] for path in sorted(found)}


def _contents(package: Distribution) -> Iterator[tuple[str, bytes]]:
    for entry in package.files or ():
        path = Path(str(entry.locate()))
        if path.is_file():
            yield str(entry), path.read_bytes()


def _is_wanted(path: str) -> bool:
    return path.endswith("/LICENSE.txt") or (
        path.startswith(f"{POLICY_PACKAGE}/") and path.endswith(".py")
    )


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
