"""Looks at a profile directory and says what is wrong with it."""

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from security_profiles.files import rendered_files
from security_profiles.profiles import PROFILE_NAMES

_AGENT_FILE = re.compile(rf"[a-z0-9][a-z0-9-]*-({'|'.join(PROFILE_NAMES)})\.json")
_DENYING = (
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_TRAP",
)
"""Default actions of a filter that refuses what it does not name."""


def check_directory(directory: Path) -> list[str]:
    """The problems of a profile directory, each one line in words; empty when there is none.

    Looked at: the directory and its files cannot be written by everyone; every rendered file is
    there and equal to what the data renders to; every file of an agent is a seccomp profile that
    refuses by default.
    """
    try:
        return list(_problems(directory))
    except OSError as error:
        return [f"{directory} cannot be looked at: {error.strerror}"]


def _problems(directory: Path) -> Iterator[str]:
    if not directory.is_dir():
        yield f"{directory} is missing or no directory: make it, then {_remedy(directory)}"
        return
    if _world_writable(directory):
        yield f"{directory} is world-writable: run `chmod o-w` on it"
    rendered = rendered_files()
    for name, text in rendered.items():
        yield from _rendered_problems(directory / name, text)
    for file in sorted(directory.iterdir()):
        if file.name not in rendered and _AGENT_FILE.fullmatch(file.name):
            yield from _agent_problems(file)


def _rendered_problems(file: Path, expected: str) -> Iterator[str]:
    if not file.is_file():
        yield f"{file} is missing: {_remedy(file.parent)}"
        return
    if _world_writable(file):
        yield f"{file} is world-writable: run `chmod o-w` on it"
    text = _read(file)
    if text == expected:
        return
    if file.suffix == ".json" and _parsed(text) is None:
        yield f"{file} does not parse as JSON: {_remedy(file.parent)}"
    else:
        yield f"{file} differs from what the data says: {_remedy(file.parent)}"


def _agent_problems(file: Path) -> Iterator[str]:
    if not file.is_file():
        yield f"{file} is no file"
        return
    if _world_writable(file):
        yield f"{file} is world-writable: run `chmod o-w` on it"
    profile = _parsed(_read(file))
    if profile is None:
        yield f"{file} does not parse as a JSON object"
    elif profile.get("defaultAction") not in _DENYING:
        yield f"{file} does not refuse by default: its defaultAction must be SCMP_ACT_ERRNO"


def _remedy(directory: Path) -> str:
    return f"run `python -m security_profiles render --directory {directory}`"


def _world_writable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IWOTH)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _parsed(text: str | None) -> dict[str, object] | None:
    """The JSON object in `text`, None for anything else; nesting may be too deep for Python."""
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
