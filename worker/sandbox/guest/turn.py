"""Follows one run of a program: takes its output, and waits for its end or brings it about."""

from __future__ import annotations

import os
import select
import time

from . import protocol
from .capture import Capture
from .channel import Channel
from .children import Children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .runnable import Runnable

READ_SIZE = 65_536  # bytes, the size of a pipe
TIME_LIMIT, OUTPUT_LIMIT = "time_limit", "output_limit"


class Turn:
    """One run, from its start to the end of everything that it started."""

    def __init__(
        self,
        channel: Channel,
        children: Children,
        program: Runnable,
        captures: tuple[Capture, Capture],
        *,
        most_output: int,
        seconds: float,
    ) -> None:
        """`most_output` is in bytes of both streams, `seconds` from now."""
        self.killed: str | None = None  # by which limit
        self.told: str | None = None  # why the worker had it ended
        self._channel, self._children, self._program = channel, children, program
        self._captures = dict(zip((program.stdout, program.stderr), captures, strict=True))
        self._most_output = most_output
        self._deadline = time.monotonic() + seconds
        self._poll = select.poll()
        for descriptor in (*self._captures, channel.read_fd, children.wakeup, program.word):
            if descriptor is not None:
                self._poll.register(descriptor, select.POLLIN)

    def follow(self) -> int:
        """Return the exit code, or the number of the signal below zero.

        Nothing of the run is left then. Raises ChannelClosedError when the worker has gone.
        """
        while (code := self._program.exit_code()) is None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._end(TIME_LIMIT)
                continue
            for descriptor, event in self._poll.poll(left * 1000):
                if event & select.POLLIN or descriptor == self._channel.read_fd:
                    self._attend(descriptor)
                else:
                    self._poll.unregister(descriptor)  # closed at its other end
        self._program.end_rest()
        for descriptor in self._captures:
            while self._take_output(descriptor):
                pass
        return code

    def _attend(self, descriptor: int) -> None:
        if descriptor in self._captures:
            self._take_output(descriptor)
        elif descriptor == self._channel.read_fd:
            kind, payload = self._channel.receive()
            if kind == protocol.KILL:
                self.told = payload.decode()
                self._end(self.told)
        else:
            # Whose end to look for is said before it comes, and how it came perhaps just before.
            self._program.hear()
            self._children.reap()
            self._program.hear()

    def _take_output(self, descriptor: int) -> bool:
        """Read once; return whether there was something."""
        try:
            data = os.read(descriptor, READ_SIZE)
        except BlockingIOError:
            return False  # the program has read it back itself
        if not data:
            return False
        self._captures[descriptor].feed(data)
        if sum(capture.total for capture in self._captures.values()) > self._most_output:
            self.killed = self.killed or OUTPUT_LIMIT
            self._end_all()
        return True

    def _end(self, why: str) -> None:
        # What has ended by itself was not ended by us.
        if self._program.exit_code() is None:
            self.killed = self.killed or why
            self._end_all()

    def _end_all(self) -> None:
        self._program.hear()
        self._children.end_all()
        self._program.hear()
