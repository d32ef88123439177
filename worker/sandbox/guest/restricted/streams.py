"""The standard streams: written at once, and with no raw file at their end."""

import io
import sys
from typing import Any


class _Unbuffered(io.BufferedWriter):
    """Keeps nothing back: a killed program's last lines would be lost."""

    def write(self, data: Any) -> int:
        written = super().write(data)
        self.flush()
        return written


def place() -> None:
    """Put buffered files in the place of the raw ones that `python -u` writes to."""
    sys.stdout = sys.__stdout__ = _wrapped(sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _wrapped(sys.stderr)  # type: ignore[misc]


def _wrapped(stream: Any) -> io.TextIOWrapper:
    raw = io.FileIO(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        _Unbuffered(raw), stream.encoding, stream.errors, newline="\n", write_through=True
    )
