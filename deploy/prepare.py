"""What the tests and the stack need from this machine: `python -m deploy.prepare`.

An answering Docker engine and an up-to-date sandbox image.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.engine import ensure_engine
from deploy.entry import run_main
from deploy.images import ensure_sandbox_image
from deploy.local.stack import LocalStack
from deploy.progress import step


def prepare(state: Path) -> None:
    """Bring engine and image up; raises `EngineError`, `ImageError` or `SystemPackageError`."""
    with step("Docker engine") as say:
        ensure_engine(state, say)
    with step("Sandbox image") as say:
        ensure_sandbox_image(say)


def main() -> int:
    """Prepare this machine; returns 0."""
    prepare(LocalStack().state)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
