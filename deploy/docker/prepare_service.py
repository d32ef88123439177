"""Install the service's packages and make its code ready; runs inside the build, as root.

`system` fills /opt/agentcore from the lock file, `code` works on /app. Works without a shell and on
bases of two kinds, as prepare_rootfs.py does, whose functions it uses. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

BUILD = Path("/build")
VENV = Path("/opt/agentcore")
APP = Path("/app")
USER_ID = 1000
USER = "agentcore"

# What only builds, installs or documents. The system's list of packages stays, for scanners.
UNWANTED = (
    *("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"),
    *("var/cache/*", "var/log/*", "root/.cache"),
    *("usr/share/python-wheels", "usr/local/bin/pip*", "usr/local/bin/idle*"),
    *("usr/local/bin/*config", "usr/local/include", "usr/local/lib/pkgconfig"),
)
UNWANTED_IN_STDLIB = (
    *("test", "idlelib", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "tkinter"),
    *("site-packages/pip*", "site-packages/setuptools*", "config-*", "*/test", "*/tests"),
)
UNWANTED_IN_VENV = (
    *("bin/pip*", "bin/[Aa]ctivate*", "include"),
    *(f"lib/python*/site-packages/{name}*" for name in ("pip", "setuptools", "pkg_resources")),
    *(f"lib/python*/site-packages/{name}*" for name in ("_distutils_hack", "distutils-")),
)


def main(stage: str) -> None:
    """Do one stage's work; the folder with this file is gone afterwards."""
    sys.path.insert(0, str(BUILD))
    {"system": prepare_system, "code": prepare_code}[stage]()
    shutil.rmtree(BUILD)


def prepare_system() -> None:
    """Install the packages, add the user, and remove what the service has no use for."""
    from deploy.docker import prepare_rootfs as rootfs

    rootfs.bundle_certificates()
    install(BUILD, VENV)
    add_line(Path("/etc/passwd"), "root", "root:x:0:0:root:/root:/usr/sbin/nologin")
    add_line(Path("/etc/group"), "root", "root:x:0:")
    add_line(Path("/etc/passwd"), USER, f"{USER}:x:{USER_ID}:{USER_ID}::/app:/usr/sbin/nologin")
    add_line(Path("/etc/group"), USER, f"{USER}:x:{USER_ID}:")
    stdlib = Path(sysconfig.get_path("stdlib"))
    rootfs.remove(Path("/"), UNWANTED)
    rootfs.remove(stdlib, UNWANTED_IN_STDLIB)
    rootfs.remove(VENV, UNWANTED_IN_VENV)
    rootfs.drop_special_modes(Path("/"))
    rootfs.compile_tree(stdlib)
    rootfs.compile_tree(VENV)


def prepare_code() -> None:
    """Let every user read the code, and compile it: a read-only root could not cache that."""
    from deploy.docker import prepare_rootfs as rootfs

    open_for_reading(APP)
    rootfs.compile_tree(APP)


def install(source: Path, target: Path) -> None:
    """Install `source`/requirements.lock into a new environment, hashes checked.

    Where `source` has wheels, from them alone.
    """
    venv.EnvBuilder(with_pip=True, symlinks=True).create(target)
    offline = ["--no-index", f"--find-links={source}"] if any(source.glob("*.whl")) else []
    subprocess.run(
        [
            *(str(target / "bin/python"), "-I", "-m", "pip", "install"),
            *("--no-cache-dir", "--no-compile", "--no-deps", "--disable-pip-version-check"),
            *("--only-binary=:all:", "--require-hashes", "-r", str(source / "requirements.lock")),
            *offline,
        ],
        check=True,
    )


def add_line(path: Path, name: str, line: str) -> None:
    """Add `line` to an account file unless the file knows `name`."""
    text = path.read_text() if path.exists() else ""
    if not any(known.split(":")[0] == name for known in text.splitlines()):
        path.write_text(f"{text}{line}\n")
        path.chmod(0o644)


def open_for_reading(folder: Path) -> None:
    """Give everybody the rights to read all below `folder`, and nobody but root to write."""
    for path in (folder, *folder.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)
        os.chown(path, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1])
