"""The program's files in its workspace: those it is given, and its standard input."""

from __future__ import annotations

import os

from .channel import Channel
from .child import WORKSPACE

TYPE_CHECKING = False  # of typing's memory, process 1 needs nothing
if TYPE_CHECKING:
    from typing import Any


def place_files(channel: Channel, job: dict[str, Any]) -> bytes:
    """Write the input files; return what the program is to read from standard input.

    Raises OSError when they do not fit.
    """
    os.makedirs(f"{WORKSPACE}/output", exist_ok=True)  # noqa: PTH103
    for path in job["files"]:
        target = f"{WORKSPACE}/{path}"
        os.makedirs(target.rpartition("/")[0], exist_ok=True)  # noqa: PTH103
        with open(target, "wb") as file:  # noqa: PTH123
            file.write(channel.receive()[1])
    return channel.receive()[1]


def read_inputs(channel: Channel, sizes: list[int]) -> bytearray:
    """Return the inputs of a batch, without gaps."""
    inputs, size = bytearray(), sum(sizes)
    while len(inputs) < size:
        inputs += channel.receive()[1]
    return inputs


def unlinked_file(content: bytes | bytearray = b"") -> int:
    """Return a descriptor of a new file without a name, to read from its start.

    Raises OSError when there is no room for it.
    """
    descriptor = os.open(WORKSPACE, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        fill(descriptor, content)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def fill(descriptor: int, content: bytes | bytearray) -> None:
    """Write all of this into an empty file, leaving its offset at the start."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
