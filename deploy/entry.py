"""How every command of this package ends: an exit code, never a traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

from deploy.errors import DeployError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count


def run_main(main: Callable[[], int]) -> int:
    """Run `main`; turn errors meant for people into one line on stderr and an exit code.

    Returns what `main` returns, 1 after a `DeployError` or a full disk, 130 after Ctrl-C.
    Other exceptions are our own bugs and keep their traceback.
    """
    try:
        return main()
    except DeployError as error:
        return _fail(f"error: {error}", EXIT_FAILED)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _fail("error: the disk is full; free some space and run it again", EXIT_FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to continue", EXIT_INTERRUPTED)


def _fail(line: str, code: int) -> int:
    print(f"\n{line}", file=sys.stderr, flush=True)
    return code
