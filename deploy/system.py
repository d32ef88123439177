"""The operating system underneath: which one it is, and how to add a package to it.

Standard library only: the bootstrap uses it before anything is installed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping

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
    if not is_debian_like(os_release()) or shutil.which("apt-get") is None:
        raise SystemPackageError(f"{why}: install the equivalent of Debian's {package} first")
    if prefix is None:
        raise SystemPackageError(f"{why}: run `sudo apt-get install {package}`, then this again")
    say(f"installing {package} with apt-get ({why})")
    # Package lists may be missing or old (fresh containers): refresh only when the first try fails.
    if _apt(prefix, "install", "--no-install-recommends", package) is None:
        return
    _apt(prefix, "update")
    problem = _apt(prefix, "install", "--no-install-recommends", package)
    if problem is not None:
        raise SystemPackageError(f"apt-get could not install {package}: {problem}")


def _apt(prefix: tuple[str, ...], *words: str) -> str | None:
    """Run apt-get; return its last error line, None when it succeeded."""
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=APT_TIMEOUT_SECONDS
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
