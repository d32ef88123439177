"""A short, private folder for Unix sockets: their whole path may have 107 bytes at most."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from deploy.errors import StateDirectoryError

SOCKET_PATH_LIMIT = 107  # bytes, sun_path of unix(7) without its closing zero
SOCKET_NAME = ".s.PGSQL.5432"  # PostgreSQL's, the longest that is put there
RECORD = "socket-directory"


def socket_directory(state: Path) -> Path:
    """Return where the sockets of what lives in `state` are, or will be once it is started.

    A choice that was made is kept: a login shell and a cron job see different XDG_RUNTIME_DIRs
    but must find the same sockets.
    """
    record = state / RECORD
    if record.is_file():
        known = Path(record.read_text())
        # Folders of a logged-out user and of an earlier boot are gone; then choose again.
        if known.parent.is_dir() and os.access(known.parent, os.W_OK):
            return known
    digest = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]
    return _base() / f"agentcore-{digest}"


def make_socket_directory(state: Path) -> Path:
    """Make the folder with mode 0700 if need be, record the choice, and return it.

    Raises `StateDirectoryError` when someone else owns it or may enter it.
    """
    folder = _private(socket_directory(state))
    (state / RECORD).write_text(str(folder))
    return folder


def remove_socket_directory(state: Path) -> None:
    """Remove the folder when nothing is left in it; the next `socket_directory` makes it again."""
    record = state / RECORD
    if record.is_file():
        with suppress(OSError):
            Path(record.read_text()).rmdir()


def _base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [Path(runtime)] if runtime else []
    for base in (*candidates, Path("/run")):
        if base.is_dir() and os.access(base, os.W_OK | os.X_OK) and _fits(base):
            return base
    return Path("/tmp")  # noqa: S108 - what we make in it is checked to be ours alone


def _fits(base: Path) -> bool:
    longest = base / ("agentcore-" + "0" * 12) / SOCKET_NAME
    return len(os.fsencode(longest)) <= SOCKET_PATH_LIMIT


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise StateDirectoryError(f"{folder} belongs to someone else; remove it, then try again")
    if stat.S_IMODE(facts.st_mode) != 0o700:
        raise StateDirectoryError(f"{folder} is open to others; run `chmod 700 {folder}`")
    return folder
