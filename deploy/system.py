"""The operating system underneath: which one it is, and how to add a package to it.

Standard library only: the bootstrap uses it before anything is installed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.errors import SystemPackageError

APT_TIMEOUT_SECONDS = 600
SUDO_PROBE_TIMEOUT_SECONDS = 5

Say = Callable[[str], None]


def os_release() -> Mapping[str, str]:
    """Return the fields of /etc/os-release, empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def is_debian_like(release: Mapping[str, str]) -> bool:
    """Whether `release` describes Debian, Ubuntu or a child of theirs."""
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    return bool(family & {"debian", "ubuntu"})


def root_prefix() -> tuple[str, ...] | None:
    """Return the words to put before a command that needs root; None where we cannot be root."""
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        return None
    probe = subprocess.run(
        ["sudo", "-n", "true"],
        capture_output=True,
        check=False,
        timeout=SUDO_PROBE_TIMEOUT_SECONDS,
    )
    return ("sudo", "-n") if probe.returncode == 0 else None


def apt_install(package: str, *, why: str, say: Say) -> None:
    """Install a Debian package, saying so first.

    Raises `SystemPackageError` where this is not Debian, we cannot be root, or apt fails.
    """
    prefix = root_prefix()
    _require_apt(package, why)
    if prefix is None:
        raise SystemPackageError(f"{why}: run `sudo apt-get install {package}`, then this again")
    say(f"installing {package} with apt-get ({why})")
    _get(prefix, package, "install", "--no-install-recommends", package)


def apt_unpack(package: str, into: Path, *, why: str, say: Say) -> None:
    """Put a Debian package's files under `into`, without its dependencies, and start nothing.

    For a program out of a package whose installation would start a server. Raises
    `SystemPackageError` where this is not Debian, or apt or dpkg fails.
    """
    _require_apt(package, why)
    say(f"unpacking {package} from apt-get ({why})")
    with tempfile.TemporaryDirectory() as folder:
        _get(root_prefix() or (), package, "download", package, cwd=folder)
        for archive in Path(folder).glob("*.deb"):
            into.mkdir(parents=True, exist_ok=True)
            problem = _run(["dpkg", "-x", str(archive), str(into)])
            if problem is not None:
                raise SystemPackageError(f"dpkg could not unpack {package}: {problem}")


def _require_apt(package: str, why: str) -> None:
    if not is_debian_like(os_release()) or shutil.which("apt-get") is None:
        raise SystemPackageError(f"{why}: install the equivalent of Debian's {package} first")


def _get(prefix: tuple[str, ...], package: str, *words: str, cwd: str | None = None) -> None:
    # Package lists may be missing or old (fresh containers): refresh only when the first try fails.
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q"]
    if _run([*command, *words], cwd=cwd) is None:
        return
    _run([*command, "update"])
    problem = _run([*command, *words], cwd=cwd)
    if problem is not None:
        raise SystemPackageError(f"apt-get could not {words[0]} {package}: {problem}")


def _run(command: list[str], *, cwd: str | None = None) -> str | None:
    """Run a command of the package manager; return its last error line, None when it succeeded."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=APT_TIMEOUT_SECONDS,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {APT_TIMEOUT_SECONDS} s"
    if done.returncode == 0:
        return None
    return last_line(done.stderr) or f"exit code {done.returncode}"


def last_line(text: str) -> str:
    """Return the last line of `text` that says something, without its surrounding blanks."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
