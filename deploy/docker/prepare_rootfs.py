"""Turn a Python base image's root into the sandbox's; runs inside the build, as root.

Works without a shell and on bases of two kinds: an official Python image, and Debian packages that
were unpacked but never configured (no users, no bundle of certificates, no compiled modules).
Standard library only.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import stat
import sys
import sysconfig
from pathlib import Path

MINIMUM_PYTHON = (3, 11)
AGENT_ID = 1000
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
GUEST = Path("/usr/local/lib/agentcore/guest")
VENDOR = Path("/usr/local/lib/agentcore/vendor")
WORKSPACE = Path("/workspace")
# Mounted by the engine while this runs; not ours to look into.
MOUNTED = {"/proc", "/sys", "/dev"}

# Files that a sandbox has no use for, or that only help an intruder.
UNWANTED = (
    # Documentation, translations, caches.
    *("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"),
    *("usr/share/bug", "usr/share/common-licenses", "usr/share/perl5", "usr/share/debconf"),
    *("usr/share/bash-completion", "usr/share/pixmaps", "usr/share/applications"),
    *("var/cache/*", "var/log/*", "var/lib/apt", "var/lib/dpkg", "var/lib/pam", "root/.*"),
    # Package management, Perl, and the build host's own traces.
    *("etc/apt", "etc/dpkg", "etc/cron*", "etc/logrotate.d", "etc/fstab", "etc/debconf.conf"),
    *("etc/systemd", "etc/init.d", "etc/default", "etc/pam.d", "etc/security"),
    *("etc/shadow*", "etc/gshadow*", "etc/passwd-", "etc/group-", "etc/machine-id"),
    *("usr/lib/apt", "usr/lib/dpkg", "usr/share/dpkg", "usr/share/keyrings", "usr/lib/*/perl*"),
    *("usr/bin/apt*", "usr/bin/dpkg*", "usr/bin/deb*", "usr/bin/perl*", "usr/bin/c_rehash"),
    *("usr/bin/update-alternatives", "usr/lib/*/libapt*", "usr/lib/systemd", "usr/lib/init"),
    # Shells and administration: what works on one base must not differ on the other.
    *("bin/sh", "bin/bash", "bin/rbash", "bin/dash", "usr/bin/sh", "usr/bin/bash"),
    *("usr/bin/rbash", "usr/bin/dash", "sbin/*", "usr/sbin/*", "usr/local/sbin/*"),
    *("usr/bin/su", "usr/bin/mount", "usr/bin/umount", "usr/bin/passwd", "usr/bin/newgrp"),
    *("usr/bin/chsh", "usr/bin/chfn", "usr/bin/gpasswd", "usr/bin/chage", "usr/bin/expiry"),
    *("usr/bin/nsenter", "usr/bin/unshare", "usr/bin/setpriv", "usr/bin/openssl"),
    # Python's own extras: no pip, no test suite, no GUI; dev files of the official image.
    *("usr/local/bin/pip*", "usr/local/bin/idle*", "usr/local/bin/pydoc*", "usr/local/bin/*config"),
    *("usr/local/include", "usr/local/lib/pkgconfig", "usr/local/share/man"),
    *("usr/bin/py3*", "usr/bin/pydoc*", "usr/bin/pygettext*", "usr/bin/pdb3*"),
    # Character sets that Python has its own codecs for.
    "usr/lib/*/gconv",
)
UNWANTED_IN_STDLIB = (
    *("test", "idlelib", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "tkinter"),
    *("site-packages/pip*", "site-packages/setuptools*", "config-*", "*/test", "*/tests"),
)

ETC_FILES = {
    "passwd": (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"agent:x:{AGENT_ID}:{AGENT_ID}:agent:/workspace:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "group": f"root:x:0:\nagent:x:{AGENT_ID}:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def main() -> None:
    """Do all of it, in the one order that works."""
    if sys.version_info < MINIMUM_PYTHON:
        sys.exit(f"the base image's Python is {sys.version.split()[0]}, 3.11 or newer is needed")
    stdlib = Path(sysconfig.get_path("stdlib"))
    bundle_certificates()
    remove(Path("/"), UNWANTED)
    remove(stdlib, UNWANTED_IN_STDLIB)
    write_etc()
    make_folders()
    drop_special_modes(Path("/"))
    compile_tree(stdlib)
    compile_tree(GUEST)
    compile_tree(VENDOR)
    Path(__file__).unlink()


def remove(root: Path, patterns: tuple[str, ...]) -> None:
    """Remove what matches `patterns` under `root`; missing is fine."""
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def bundle_certificates() -> None:
    """Write the bundle that Debian's post-install script would have written."""
    if BUNDLE.exists():
        return
    parts = sorted(Path("/usr/share/ca-certificates/mozilla").glob("*.crt"))
    if not parts:
        sys.exit("the base image has no CA certificates; it needs Debian's ca-certificates")
    BUNDLE.parent.mkdir(parents=True, exist_ok=True)
    BUNDLE.write_bytes(b"".join(part.read_bytes().rstrip() + b"\n" for part in parts))


def write_etc() -> None:
    """Write the accounts and the name service switch; hosts and resolv.conf are the engine's."""
    for name, content in ETC_FILES.items():
        Path("/etc", name).write_text(content)


def make_folders() -> None:
    """Make the folders that the sandbox mounts over or works in."""
    for path, owner, mode in (
        (WORKSPACE, AGENT_ID, 0o755),
        (Path("/tmp"), 0, 0o1777),  # noqa: S108 - the sandbox's own /tmp
        (Path("/run"), 0, 0o755),
        (Path("/root"), 0, 0o700),
    ):
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, owner, owner)
        path.chmod(mode)


def drop_special_modes(root: Path) -> None:
    """Take the setuid and setgid bits, and write permission for everyone, off all files."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if str(Path(folder, name)) not in MOUNTED]
        for name in names:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            unwanted = mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)
            if stat.S_ISREG(mode) and unwanted:
                path.chmod(stat.S_IMODE(mode) & ~unwanted)


def compile_tree(folder: Path) -> None:
    """Byte-compile `folder`: a read-only root could never cache what it compiles.

    Unchecked hashes: the sandbox need not stat each source, and equal sources give equal files.
    """
    compileall.compile_dir(
        folder,
        quiet=2,
        workers=1,
        force=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


if __name__ == "__main__":
    main()
