"""An interpreter started ahead of its job: at the end of its own start-up it waits for its go.

It is executed as `python3 main.py` before there is any such file, and held by the module in
prepared/, so that what runs in the end is the interpreter's own way to run a program.
"""

from __future__ import annotations

import fcntl
import os
import select

from . import child, files
from .children import Children
from .prepared import words
from .program import BASE_ENVIRONMENT, added_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

COMMAND = ["python3", "main.py"]
FOLDER = f"{__file__.rpartition('/')[0]}/prepared"
# It holds pipes to us, so nothing is to be loaded at its start from where programs can write.
ENVIRONMENT = BASE_ENVIRONMENT | {"PYTHONPATH": FOLDER, "HOME": "/nonexistent"}
MAX_NOTES = 64 * words.NOTE_BYTES  # bytes; there are at most three to a run
# Variables that the interpreter, the loader or the C library read when they start. OpenSSL reads
# its own later, but an image's site packages may have loaded it by then.
READ_AT_START = (
    *("PYTHON", "PATH", "HOME", "LD_", "LC_", "LANG", "LOC", "NLSPATH"),
    *("MALLOC_", "GLIBC_", "GCONV_", "OPENSSL_"),
)
# The user's own packages, in the home folder: site looks for them when the interpreter starts.
USER_SITE = ".local/"
START_SECONDS = 10  # of patience with its start-up
OUT_OF_THE_WAY = 16  # descriptors from here on are none of those that the interpreter gets


def suits(job: dict[str, Any]) -> bool:
    """Whether a job's program is one that an interpreter can have been started for ahead of it."""
    return (
        job["argv"][: len(COMMAND)] == COMMAND
        and "main.py" in job["files"]
        and not job.get("restricted_python")
        and not any(name.startswith(READ_AT_START) for name in job["environment"])
        and not any(path.startswith(USER_SITE) for path in job["files"])
    )


def settings(job: dict[str, Any], mode: str) -> bytes:
    """Return the message with a job's settings, as prepared/waiting.py takes it."""
    arguments = job["argv"][len(COMMAND) :]
    fields = [mode, str(job["file_descriptors"]), str(len(arguments)), *arguments]
    for variable in added_environment(job).items():
        fields += variable
    return b"\0".join(os.fsencode(field) for field in fields)


class Prepared:
    """The waiting interpreter; once it was told to begin, the running program."""

    exec_error = None
    word = None  # nothing but its own end tells of its end

    def __init__(self, stdin: int, children: Children) -> None:
        """Start it, without waiting for it. Takes the descriptor over, also when that fails.

        Raises OSError when nothing can be started.
        """
        self._stdin, self._children = stdin, children
        pipes = [os.pipe() for _ in range(5)]
        out, err, control, notes, done = pipes
        self.stdout, self.stderr, self._control = out[0], err[0], control[1]
        self._notes, self.done = notes[0], done[0]
        given = (stdin, out[1], err[1], control[0], notes[1], done[1])
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _become(given)
        except OSError:
            self.close()
            raise
        finally:
            for descriptor in given[1:]:
                os.close(descriptor)
        for descriptor in (self.stdout, self.stderr, self._notes, self.done):
            os.set_blocking(descriptor, False)
        children.expect(self.pid)

    def is_waiting(self) -> bool:
        """Wait until its start-up is over; return whether it can begin.

        Until then it must not find the program's file: it would run it.
        """
        poll = select.poll()
        poll.register(self.done, select.POLLIN)
        poll.poll(START_SECONDS * 1000)
        try:
            return os.read(self.done, 1) == words.WAITING
        except BlockingIOError:
            return False

    def give(self, stdin: bytes | bytearray) -> None:
        """Set what it is to read. Raises OSError when there is no room for that."""
        files.fill(self._stdin, stdin)

    def begin(self, job: dict[str, Any]) -> None:
        """Let the program run. Raises BrokenPipeError when the interpreter has ended."""
        self.tell(settings(job, words.ONCE))

    def tell(self, message: bytes | bytearray) -> None:
        """Send a message. Raises BrokenPipeError when it has ended."""
        data = memoryview(words.message(message))
        while data:
            data = data[os.write(self._control, data) :]

    def read_notes(self) -> list[tuple[bytes, int]]:
        """Return what notes it left since."""
        try:
            data = os.read(self._notes, MAX_NOTES)
        except BlockingIOError:
            return []
        notes = [data[at : at + words.NOTE_BYTES] for at in range(0, len(data), words.NOTE_BYTES)]
        return [(note[:1], int.from_bytes(note[1:], "big", signed=True)) for note in notes]

    def hear(self) -> None:
        """Read what it has to say: nothing before its end."""

    def exit_code(self) -> int | None:
        """Return the code, or the number of the signal below zero; None while it runs."""
        return self._children.exit_code(self.pid)

    def end_rest(self) -> None:
        """End what it has left running."""
        self._children.end_all()

    def has_started(self) -> bool:
        """Whether it has come as far as the program, once it has ended."""
        return any(kind == words.BORN for kind, _ in self.read_notes())

    def setup_error(self) -> None:
        """Nothing: what could not be set up here is executed instead."""

    def policy_violation(self) -> None:
        """Nothing here is under a policy."""

    def close(self) -> None:
        """Give its pipes back; it ends by that."""
        for end in (self._stdin, self.stdout, self.stderr, self._control, self._notes, self.done):
            os.close(end)


def _become(given: tuple[int, ...]) -> NoReturn:
    try:
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) for end in given]
        child.leave_the_supervisor(*high[:3])
        numbers = words.CONTROL, words.NOTES, words.DONE
        for descriptor, number in zip(high[3:], numbers, strict=True):
            os.dup2(descriptor, number)
        os.execvpe(COMMAND[0], COMMAND, ENVIRONMENT)  # noqa: S606
    finally:
        os._exit(127)
