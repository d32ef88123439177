"""Forks a run for each input of a batch, from an interpreter that has compiled the program once.

Of a run nothing reaches this process but signals: it is not dumpable, and what it hears and tells
goes through pipes that no run has. One that ends it ends nothing else: the supervisor notices.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time

from . import waiting
from .words import DONE, ENDED, EXITED, NOTES, READY, note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

FOLDER, SOURCE = "/workspace", "/workspace/main.py"
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
SIGKILL = 9  # as in signal, which would be in the memory of every run
PAUSE_SECONDS = 0.0002  # for killed processes to be gone
_prctl = ctypes.CDLL(None).prctl


def prepare() -> Callable[[], None]:
    """Return what turns this interpreter into one that forks runs."""
    return _fork_at_the_program if _compiles_silently() else _fork_runs


def _compiles_silently() -> bool:
    """Whether compiling shows neither an error nor a warning, which each run has to show."""
    shown: list[str] = []

    class Shown:
        def write(self, text: str) -> None:
            shown.append(text)

    usual, sys.stderr = sys.stderr, Shown()
    try:
        with open(SOURCE, "rb") as file:  # noqa: PTH123 - pathlib would be in every run's memory
            compile(file.read(), SOURCE, "exec", dont_inherit=True)
    except Exception:  # whatever it is, each run comes upon it by itself
        return False
    finally:
        sys.stderr = usual
    return not shown


def _fork_at_the_program() -> None:
    """Let the interpreter read and compile the program, and stop it before the first step."""
    # Until then nothing is imported from where runs can write: no finder for that folder.
    sys.path_importer_cache[FOLDER] = None
    program = sys.modules["__main__"].__dict__

    def stop(frame: FrameType, event: str, _: Any) -> None:
        # Whatever a run has made of the file: what would run here has these globals.
        if event == "call" and frame.f_globals is program:
            sys.setprofile(None)
            del sys.path_importer_cache[FOLDER]
            _fork_runs()

    sys.setprofile(stop)


def _fork_runs() -> None:
    """Serve the supervisor; returns only in the forks, where the program is to run."""
    try:
        _set_dumpable(0)
        _freeze()
        os.write(DONE, READY)
        stdin = waiting.message()
        while (run := os.fork()) != 0:
            stdin = b""
            _await(run)
            stdin = waiting.message()
        _become_run(stdin)
    except BaseException as error:
        waiting.tell_of(error)
        os._exit(127)


def _set_dumpable(value: int) -> None:
    if _prctl(PR_SET_DUMPABLE, value, 0, 0, 0) or _prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != value:
        raise PermissionError


def _freeze() -> None:
    """Keep collections in runs off what is here already: each would copy all of its memory."""
    program = sys.modules["__main__"].__dict__
    kept = dict(program)
    # A dict of nothing is not frozen with the rest: what the program puts there can be garbage.
    program.clear()
    gc.collect()
    gc.freeze()
    program.update(kept)
    if not any(item is program for item in gc.get_objects()):
        gc.unfreeze()


def _await(run: int) -> None:
    """Wait for the end of a run and of all that it started; tell the supervisor."""
    end = os.waitid(os.P_PID, run, os.WEXITED | os.WNOWAIT)
    assert end is not None  # noqa: S101 - only without waiting there may be none
    exited = end.si_code == os.CLD_EXITED
    os.write(NOTES, note(EXITED, end.si_status if exited else -end.si_status))
    os.waitpid(run, 0)
    try:
        while True:
            os.kill(-1, SIGKILL)  # all but process 1 and this one
            time.sleep(PAUSE_SECONDS)
    except ProcessLookupError:
        os.write(DONE, ENDED)  # nobody is left


def _become_run(stdin: bytes) -> None:
    _set_dumpable(1)
    os.setsid()
    _replace(0, waiting.unlinked_file(stdin))
    for number in (1, 2):
        # Opened anew: what a run sets on it, as not to block, must not be the next one's.
        _replace(number, os.open(f"/proc/self/fd/{number}", os.O_WRONLY))
    waiting.hand_over()


def _replace(number: int, descriptor: int) -> None:
    os.dup2(descriptor, number)
    os.close(descriptor)
