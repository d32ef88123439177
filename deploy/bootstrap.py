"""Make or refresh `.venv` from the lock file: `python3 -m deploy.bootstrap`.

Run by the system's Python, so the standard library only. Safe to run twice, at the same time, and
after an interruption: an environment whose installation did not finish is made anew.
"""

from __future__ import annotations

import os
import shutil
import sys

MINIMUM = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")


def main() -> int:
    """Check the interpreter, then do the work; returns the exit code."""
    if sys.version_info < MINIMUM:
        return _with_newer_python()
    # Imported late: an older Python must get as far as the message below.
    from deploy.entry import run_main
    from deploy.venv import bootstrap

    return run_main(bootstrap)


def _with_newer_python() -> int:
    for name in NEWER:
        found = shutil.which(name)
        if found is not None:
            os.execv(found, [found, "-m", "deploy.bootstrap"])  # noqa: S606 - argv, no shell
    have = ".".join(str(part) for part in sys.version_info[:3])
    print("error: Python 3.11 or newer is needed, this is " + have + "; install python3.11")
    return 1


if __name__ == "__main__":
    sys.exit(main())
