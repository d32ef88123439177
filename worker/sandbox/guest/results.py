"""The result that one run of a batch leaves, for which there is one place."""

from __future__ import annotations

import os
import stat

from .child import WORKSPACE

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
NAME = "result.json"


def take(most: int) -> bytes | None:
    """Remove /workspace/output/result.json and return at most that many bytes of it.

    None when there is no such file; links are none, as among artifacts.
    """
    try:
        folder = os.open(f"{WORKSPACE}/output", FOLDER)
    except OSError:
        return None
    try:
        return _take(folder, most)
    except OSError:
        return None  # there is none, or it cannot be read
    finally:
        os.close(folder)


def _take(folder: int, most: int) -> bytes | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(NAME, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError:
        os.unlink(NAME, dir_fd=folder)
        return None
    try:
        os.unlink(NAME, dir_fd=folder)
        status = os.fstat(descriptor)
        # Its one name is gone; one that is left is a link.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 0:
            return None
        return _read(descriptor, most)
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int) -> bytes:
    data = bytearray()
    while len(data) < most and (piece := os.read(descriptor, most - len(data))):
        data += piece
    return bytes(data)
