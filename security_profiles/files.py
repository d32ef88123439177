"""Writes rendered profiles to disk: the committed set, and one file for one agent."""

import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from security_profiles.apparmor import apparmor_kernel_name, render_apparmor
from security_profiles.errors import InvalidAgentIdError, RenderError, UnsafeDirectoryError
from security_profiles.profiles import PROFILE_NAMES, get_profile
from security_profiles.seccomp import render_seccomp

RENDERED_DIRECTORY = Path(__file__).parent / "rendered"
"""Where the committed files are."""

DIRECTORY_VARIABLE = "AGENTCORE_PROFILE_DIRECTORY"
"""Environment variable that names another place for the rendered files and those of agents."""

FILE_MODE = 0o644
"""Readable by the container daemon whatever its user, writable by the owner only."""

_RESERVED = "agentcore"
_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def rendered_files() -> dict[str, str]:
    """File name to text of every committed file: the seccomp filters and the AppArmor profiles.

    "privileged" shares the filter of "standard" and has an AppArmor profile of its own.
    """
    files: dict[str, str] = {}
    for name in PROFILE_NAMES:
        profile = get_profile(name)
        kernel_name = apparmor_kernel_name(name, profile.apparmor_profile)
        files[f"{profile.seccomp_profile}.json"] = to_text(render_seccomp(name))
        files[f"{kernel_name}.apparmor"] = render_apparmor(name)
    return files


def default_directory() -> Path | None:
    """The directory that AGENTCORE_PROFILE_DIRECTORY names, None where it is unset or empty."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    return Path(named) if named else None


def to_text(seccomp: dict[str, Any]) -> str:
    """Seccomp data as the text of its file: two blanks a level, a newline at the end."""
    return json.dumps(seccomp, indent=2) + "\n"


def write_rendered(directory: Path = RENDERED_DIRECTORY) -> list[Path]:
    """Writes every committed file into `directory` and returns their paths. Raises RenderError."""
    return [_write(directory, name, text) for name, text in rendered_files().items()]


def write_agent_profile(
    *,
    agent_id: str,
    profile_name: str,
    directory: Path,
    allowed_syscalls: Iterable[str] = (),
    blocked_syscalls: Iterable[str] = (),
    permitted: Iterable[str] = (),
) -> Path:
    """Writes `{agent_id}-{profile_name}.json` into `directory`, whole or not at all.

    agent_id: 1 to 63 of a-z, 0-9 and "-", the first one no "-"; not "agentcore", whose files are
    those of the profiles themselves.
    permitted: dangerous calls that the operator's settings allow by name.
    Raises InvalidAgentIdError, UnsafeDirectoryError (missing or world-writable), RenderError, and
    what `render_seccomp` raises.
    """
    if not _AGENT_ID.fullmatch(agent_id):
        raise InvalidAgentIdError(
            f"agent id {agent_id!r} is not usable: 1 to 63 of a-z, 0-9 and '-', no '-' first"
        )
    if agent_id == _RESERVED:
        raise InvalidAgentIdError(f"agent id {agent_id!r} is taken by the profiles themselves")
    seccomp = render_seccomp(
        profile_name,
        allowed_syscalls=allowed_syscalls,
        blocked_syscalls=blocked_syscalls,
        permitted=permitted,
    )
    return _write(directory, f"{agent_id}-{profile_name}.json", to_text(seccomp))


def _write(directory: Path, name: str, text: str) -> Path:
    """Replaces `name` in one step, so that a reader sees the old text or the new, never half."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    with _safe_directory(directory) as folder:
        try:
            _create(folder, temporary, text)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise RenderError(f"cannot write {directory / name}: {error.strerror}") from error
    return directory / name


def _create(folder: int, name: str, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "w") as file:
        os.fchmod(file.fileno(), FILE_MODE)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _safe_directory(directory: Path) -> Iterator[int]:
    """A descriptor of the directory, checked after opening: a swap in between changes nothing."""
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UnsafeDirectoryError(f"cannot use {directory}: {error.strerror}") from error
    try:
        if os.fstat(folder).st_mode & stat.S_IWOTH:
            raise UnsafeDirectoryError(f"{directory} is world-writable: run `chmod o-w` on it")
        yield folder
    finally:
        os.close(folder)
