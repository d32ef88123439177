"""What the tests and the stack need from this machine: `python -m deploy.prepare`.

An answering Docker engine and an up-to-date sandbox image; with `--tests`, also the programs that
only tests need.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from deploy.engine import ensure_engine
from deploy.entry import run_main
from deploy.errors import SystemPackageError
from deploy.images import ensure_sandbox_image
from deploy.local.stack import ROOT, LocalStack
from deploy.progress import step
from deploy.system import apt_install, apt_unpack


def _has(program: str) -> bool:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return shutil.which(program, path=path) is not None


def _has_kernel_headers() -> bool:
    return any(Path("/usr/include").glob("*/asm/unistd_64.h"))


PROMETHEUS = ROOT / ".state" / "tools" / "prometheus"


def promtool() -> str | None:
    """Return where Prometheus's own checker is, None where it is not.

    Installing its Debian package would start a server, so that `--tests` only unpacks it.
    """
    return shutil.which("promtool") or shutil.which("promtool", path=PROMETHEUS / "usr" / "bin")


# Debian's package, why the tests want it, and whether it is here.
TEST_TOOLS = (
    ("apparmor", "its parser checks our profiles", partial(_has, "apparmor_parser")),
    ("openssl", "it makes the certificates of tests", partial(_has, "openssl")),
    ("curl", "it is tried through the egress proxy", partial(_has, "curl")),
    ("iproute2", "networks of tests have namespaces of their own", partial(_has, "ip")),
    (
        "linux-libc-dev",
        "our table of calls is held against it",
        _has_kernel_headers,
    ),
)


def prepare(state: Path) -> None:
    """Bring engine and image up; raises `EngineError`, `ImageError` or `SystemPackageError`."""
    with step("Docker engine") as say:
        ensure_engine(state, say)
    with step("Sandbox image") as say:
        ensure_sandbox_image(say)


def install_test_tools() -> None:
    """Install what only tests need; where that cannot be, those tests say so and are skipped."""
    wanted = [
        partial(apt_install, name, why=why) for name, why, is_here in TEST_TOOLS if not is_here()
    ]
    if promtool() is None:
        wanted.append(partial(apt_unpack, "prometheus", PROMETHEUS, why="promtool checks alerts"))
    if not wanted:
        return
    with step("Tools for tests") as say:
        for install in wanted:
            try:
                install(say=say)
            except SystemPackageError as error:
                say(f"skipped: {error}")


def main() -> int:
    """Prepare this machine; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m deploy.prepare", description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also what only the tests need")
    arguments = parser.parse_args()
    prepare(LocalStack().state)
    if arguments.tests:
        install_test_tools()
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
