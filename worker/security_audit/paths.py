"""Looks at the permissions of the paths that security rests on."""

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from pydantic import SecretStr

from models.settings import PREFIX, Settings
from worker.security_audit.facts import PathFacts

FILE_SUFFIX = "_FILE"  # of variables that name a file with a setting's value


def path_facts(
    socket: Path | None, environment: Mapping[str, str], directories: Iterable[tuple[str, Path]]
) -> tuple[PathFacts, ...]:
    """Return the engine's socket, the settings' files, and the directories of profiles."""
    found = [look_at("Docker socket", socket)] if socket is not None else []
    found += [
        look_at(variable, Path(environment[variable]), secret=_is_secret(variable))
        for variable in sorted(environment)
        if variable.startswith(PREFIX) and variable.endswith(FILE_SUFFIX)
    ]
    found += [look_at(name, path) for name, path in directories]
    return tuple(found)


def look_at(name: str, path: Path, *, secret: bool = False) -> PathFacts:
    """Return who owns the path, who may use it, and who may replace it."""
    try:
        status = path.stat()
        real = path.resolve()
        # By whichever name it is reached: a link's own folder can be swapped as well.
        parents = {parent: parent.stat().st_mode for parent in _parents(path, real)}
    except OSError:
        return PathFacts(name=name, path=path, mode=None, secret=secret)
    return PathFacts(
        name=name,
        path=path,
        mode=stat.S_IMODE(status.st_mode),
        owner=f"{_user(status.st_uid)}:{_group(status.st_gid)}",
        secret=secret,
        reachable=all(mode & stat.S_IXOTH for mode in parents.values()),
        mounted=path.is_file() and os.path.ismount(real),
        open_parents=tuple(parent for parent, mode in parents.items() if _is_open(mode)),
    )


def _parents(path: Path, real: Path) -> list[Path]:
    return sorted({*path.absolute().parents, *real.parents})


def _is_open(mode: int) -> bool:
    # In a folder with the sticky bit, as /tmp, others cannot replace what is not theirs.
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _is_secret(variable: str) -> bool:
    """Whether the variable's setting is a secret; what is no setting is taken for one."""
    setting = variable.removeprefix(PREFIX).removesuffix(FILE_SUFFIX).lower()
    field = Settings.model_fields.get(setting)
    if field is None:
        return True
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
