"""Reading files that hold the API key, which nobody else may be able to read."""

import os
import stat
from pathlib import Path

from agentcore_client.errors import ConfigError

MAX_FILE_BYTES = 65_536  # bytes; far above any key or configuration file


def read_private(path: Path) -> str:
    """Return the text of a file that only its owner may read. Raises ConfigError."""
    text, shared = read_text(path)
    if shared:
        raise shared_error(path)
    return text


def read_text(path: Path) -> tuple[str, bool]:
    """Return the text of a file, and whether others may read or change it. Raises ConfigError.

    The permissions are those of the file that was read, whatever its name means a moment later.
    """
    try:
        with path.open("rb") as file:
            shared = _is_shared(os.fstat(file.fileno()))
            return file.read(MAX_FILE_BYTES).decode("utf-8"), shared
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file (UTF-8)") from error


def shared_error(path: Path) -> ConfigError:
    """Return the error for a key in a file that others may read, with what to do."""
    return ConfigError(f"{path} holds an API key and others can read it; run: chmod 600 {path}")


def _is_shared(status: os.stat_result) -> bool:
    if os.name == "nt" or not stat.S_ISREG(status.st_mode):
        return False  # no such bits; or a pipe, as in --key-file <(pass show agentcore)
    return bool(status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)) or status.st_uid not in (
        os.geteuid(),
        0,
    )
