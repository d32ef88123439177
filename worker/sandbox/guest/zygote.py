"""A prepared interpreter that has compiled the program, and forks a run of it for each input."""

from __future__ import annotations

import os

from .children import Children
from .lean import suppress
from .preparation import Prepared, settings
from .prepared.words import BORN, EXITED, FAILED, FORKING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORD_BYTES = 16
DID_NOT_START = 127  # exit code where there is none


class Zygote:
    """The interpreter and its present run.

    How a run ended is told by the interpreter, whose pipes and memory no run can reach. Where a run
    has ended the interpreter, process 1 inherits the run and sees its end itself.
    """

    exec_error = None

    def __init__(self, prepared: Prepared, children: Children) -> None:
        """Take the interpreter over."""
        self.stdout, self.stderr, self.word = prepared.stdout, prepared.stderr, prepared.done
        self._prepared, self._children = prepared, children
        self._is_over = False
        self._run: int | None = None
        self._code: int | None = None
        self._error: int | None = None

    def compile(self, job: dict[str, Any]) -> None:
        """Have it compile the program; what is followed first is that.

        Raises BrokenPipeError when the interpreter has ended.
        """
        self._children.expect(self._prepared.pid, may_stop=False)
        self._prepared.tell(settings(job, FORKING))

    def start(self, stdin: bytes | bytearray) -> None:
        """Start a run. Raises BrokenPipeError when the interpreter has ended."""
        if self._run is not None:
            self._children.forget(self._run)
        self._is_over, self._run, self._code, self._error = False, None, None, None
        self._prepared.tell(stdin)

    def hear(self) -> None:
        """Take in what the interpreter and the run's first steps have told."""
        for kind, number in self._prepared.read_notes():
            if kind == BORN:
                self._run = number
                self._children.expect(number)
            elif kind == EXITED:
                self._code = number
            elif kind == FAILED:
                self._error = number
        with suppress(BlockingIOError):
            self._is_over = bool(os.read(self.word, WORD_BYTES)) or self._is_over

    def exit_code(self) -> int | None:
        """Return the code, or the number of the signal below zero; None while it runs."""
        if self.is_gone:
            if self._code is None and self._run is not None:
                return self._children.exit_code(self._run)
        elif not self._is_over:
            return None
        return DID_NOT_START if self._code is None else self._code

    def end_rest(self) -> None:
        """End what is left; the interpreter has done so, unless it has ended itself."""
        if self.is_gone:
            self._children.end_all()

    @property
    def is_gone(self) -> bool:
        """Whether the interpreter has ended."""
        return self._prepared.exit_code() is not None

    def has_started(self) -> bool:
        """Whether the run has come as far as the program, once it is over."""
        return self._run is not None

    def setup_error(self) -> str | None:
        """Return what kept the run from being started, once it has ended."""
        if self._error is None or self.has_started():
            return None  # or a run has ended the interpreter with a signal that it tells of
        return os.strerror(self._error)

    def policy_violation(self) -> None:
        """Nothing here is under a policy."""

    def close(self) -> None:
        """End the interpreter and all else, and give its pipes back."""
        self._children.end_all()
        self._children.forget(self._prepared.pid)
        self._prepared.close()
