"""Saving artifacts without ever leaving the folder that was named.

Every folder on the way is opened relative to the one before it and never through a link, so
that nothing moved in between can lead elsewhere; files are created anew and never followed.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentcore_client.errors import ArtifactRefusedError
from agentcore_client.responses import ArtifactInfo
from agentcore_client.safe_paths import checked_parts

_SAFE_PLATFORM = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_CLOEXEC", 0)


def check_content(info: ArtifactInfo, data: bytes) -> None:
    """Raise ArtifactRefusedError unless `data` is what `info` announced."""
    if len(data) != info.size or hashlib.sha256(data).hexdigest() != info.sha256:
        raise ArtifactRefusedError(
            f"artifact {info.path!a} does not match its size and SHA-256; try again"
        )


def save(directory: Path, path: str, data: bytes, *, overwrite: bool = False) -> Path:
    """Write one artifact under `directory`, which is made when missing, and return its place.

    `directory` itself may be a link: the caller chose it. Raises ArtifactRefusedError when the
    name leads elsewhere, through a link, or (without `overwrite`) to an existing file.
    """
    *folders, name = checked_parts(path)
    if not _SAFE_PLATFORM:
        raise ArtifactRefusedError("artifacts cannot be saved safely on this operating system")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _opened(directory, tuple(folders)) as folder:
            _write(folder, name, data, overwrite)
    except FileExistsError as error:
        raise ArtifactRefusedError(
            f"{directory / path} exists already; "
            "choose an empty directory, or overwrite (--overwrite)"
        ) from error
    except OSError as error:
        raise ArtifactRefusedError(
            f"cannot save artifact {path!a} in {directory}: {error.strerror or error}"
        ) from error
    return directory / path


@contextmanager
def _opened(directory: Path, folders: tuple[str, ...]) -> Iterator[int]:
    current = os.open(directory, _FOLDER)
    try:
        for folder in folders:
            below = _opened_below(current, folder)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _opened_below(parent: int, folder: str) -> int:
    with suppress(FileExistsError):  # whether it is a real folder shows in the next step
        os.mkdir(folder, dir_fd=parent)
    return os.open(folder, _FOLDER | _NO_LINK, dir_fd=parent)


def _write(folder: int, name: str, data: bytes, overwrite: bool) -> None:
    if overwrite:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)  # a link itself, not what it leads to
    descriptor = os.open(name, _NEW_FILE, 0o666, dir_fd=folder)  # less the umask; not executable
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
