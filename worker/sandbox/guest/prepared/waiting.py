"""Takes the job from the supervisor and makes of this interpreter what the job asks for."""

from __future__ import annotations

import os
import resource
import sys
import time

from .words import BORN, CONTROL, DONE, FAILED, LENGTH_BYTES, NOTES, ONCE, WAITING, note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OOM_SCORE = b"1000"  # the highest: the program goes first when memory runs out


def await_job() -> Callable[[], None]:
    """Wait; apply the job's settings; return what remains to do before the program runs."""
    os.write(DONE, WAITING)
    mode, descriptors, count, *fields = map(os.fsdecode, message().split(b"\0"))
    arguments, variables = fields[: int(count)], fields[int(count) :]
    sys.argv += arguments
    sys.orig_argv += arguments
    os.environ.update(zip(variables[::2], variables[1::2], strict=True))
    if "TZ" in os.environ:
        time.tzset()
    _limit_descriptors(int(descriptors))
    if mode == ONCE:
        return hand_over
    from . import zygote

    return zygote.prepare()


def hand_over() -> None:
    """Become the program's own: first in line when memory runs out, and without our pipes."""
    score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(score, OOM_SCORE)
    os.write(NOTES, note(BORN, os.getpid()))
    for descriptor in (score, CONTROL, NOTES, DONE):
        os.close(descriptor)


def tell_of(error: BaseException) -> None:
    """Tell of an error of ours."""
    os.write(NOTES, note(FAILED, getattr(error, "errno", None) or 0))


def unlinked_file(content: bytes) -> int:
    """Return a descriptor of a new file without a name, to read from its start."""
    descriptor = os.open("/workspace", os.O_TMPFILE | os.O_RDWR, 0o600)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def message() -> bytes:
    """Read one message. The supervisor's end is ours."""
    return _exactly(int.from_bytes(_exactly(LENGTH_BYTES), "big"))


def _exactly(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(CONTROL, size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return bytes(data)


def _limit_descriptors(wanted: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
