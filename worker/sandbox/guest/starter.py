"""Begins the runs of a batch: as forks of one interpreter where that can be, else as commands."""

from __future__ import annotations

import os

from . import egress
from .capture import Kept
from .channel import Channel
from .children import Children
from .preparation import Prepared
from .program import Program
from .turn import Turn
from .zygote import Zygote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READY_SECONDS = 30  # for an interpreter to compile the program
READY_OUTPUT = 1_048_576  # bytes; it has nothing to say before it forks


class Starter:
    """What the runs of one batch come from."""

    def __init__(
        self, channel: Channel, children: Children, job: dict[str, Any], prepared: Prepared | None
    ) -> None:
        """`prepared` is an interpreter that waits for the program; without it nothing is forked."""
        self.told: str | None = None  # why the worker had the batch ended while we waited
        self._channel, self._children, self._job = channel, children, job
        self._prepared, self._may_fork = prepared, prepared is not None
        self._zygote: Zygote | None = None

    def prepare(self) -> None:
        """Have an interpreter ready to fork, where that can be and there is none."""
        if self._zygote is not None and self._zygote.is_gone:
            self._drop()  # the run before has ended it
        if self._zygote is None and self._may_fork:
            try:
                self._make()
            except OSError:
                self.never_fork()

    def fork(self, stdin: bytes | bytearray) -> Zygote | None:
        """Begin a run as a fork; None where that cannot be."""
        if self._zygote is not None:
            try:
                egress.open_way(self._job)
                self._zygote.start(stdin)
            except OSError:
                self.never_fork()
        return self._zygote

    def execute(self, stdin: bytes | bytearray) -> Program:
        """Begin a run as a command. Raises OSError when that cannot be."""
        egress.open_way(self._job)
        program = Program(self._children)
        program.give(stdin)
        program.begin(self._job)
        return program

    def never_fork(self) -> None:
        """Execute from now on: an interpreter has failed that no run had touched."""
        self._may_fork = False
        self._drop()

    def _make(self) -> None:
        self._zygote = Zygote(self._interpreter(), self._children)
        self._zygote.compile(self._job)
        kept = Kept(0)
        turn = Turn(
            self._channel,
            self._children,
            self._zygote,
            (kept.out, kept.err),
            most_output=READY_OUTPUT,
            seconds=READY_SECONDS,
        )
        turn.follow()
        self.told = turn.told
        if self._zygote.is_gone:
            self.never_fork()

    def _interpreter(self) -> Prepared:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            prepared = Prepared(os.open(os.devnull, os.O_RDONLY), self._children)
            if not prepared.is_waiting():
                self._children.end_all()
                prepared.close()
                raise BrokenPipeError
        return prepared

    def _drop(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
