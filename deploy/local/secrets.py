"""Generated passwords of the embedded stack, kept in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from deploy.errors import StateDirectoryError
from deploy.locking import exclusive_lock

PASSWORD_BYTES = 32  # 256 bits of randomness


class SecretStore:
    """A JSON object of name and password; a name asked for the first time gets a new password."""

    def __init__(self, path: Path) -> None:
        """Take the file's path; nothing is made before a password is asked for."""
        self.path = path

    def get(self, name: str) -> str:
        """Return the password of `name`, generated on first use.

        Raises `StateDirectoryError` when the file is damaged or others can read it.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive_lock(self.path.with_suffix(".lock"), say=lambda _: None):
            known = self._read()
            if name not in known:
                # Hexadecimal: safe in URLs, configuration files and SQL without any quoting.
                known[name] = secrets.token_hex(PASSWORD_BYTES)
                self._write(known)
            return known[name]

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        if self.path.stat().st_mode & 0o077:
            raise StateDirectoryError(f"others can read {self.path}; run `chmod 600 {self.path}`")
        try:
            known = json.loads(self.path.read_text())
        except ValueError as error:
            raise StateDirectoryError(f"{self.path} is damaged; restore it") from error
        return {str(name): str(value) for name, value in known.items()}

    def _write(self, known: dict[str, str]) -> None:
        write_private(self.path, json.dumps(known, indent=2))


def write_private(path: Path, content: str) -> None:
    """Write a file that only we can read, in one step and on disk when this returns."""
    fresh = path.with_name(path.name + ".tmp")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
