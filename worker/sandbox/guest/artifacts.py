"""Streams the regular files under /workspace/output, within caps; links are never followed."""

from __future__ import annotations

import errno
import os
import stat

from . import protocol
from .channel import Channel
from .child import WORKSPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAX_SKIPPED = 20  # entries named in the report; the rest is only counted
# Entries looked at: their names must fit into what memory the program has left us.
MAX_ENTRIES = 10_000
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
CHUNK = protocol.MAX_GUEST_FRAME


def collect(channel: Channel, caps: dict[str, int]) -> dict[str, Any]:
    """Send every acceptable file; return what was left out and why.

    `caps` holds count, bytes (of one file), total_bytes and depth (folders).
    """
    report: dict[str, Any] = {"skipped": [], "skipped_count": 0}
    count = total = 0
    for folder_fd, name, path in _entries(caps["depth"], report):
        try:
            status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except OSError as error:
            _skip(report, path, f"cannot be read: {error.strerror}")
            continue
        why = _refusal(path, status, caps)
        if why is None and count == caps["count"]:
            why = f"more than {caps['count']} artifacts"
        if why is None and total + status.st_size > caps["total_bytes"]:
            why = f"artifacts are over {caps['total_bytes']} bytes together"
        if why is None:
            why = _send(channel, folder_fd, name, path, status.st_size)
        if why is not None:
            _skip(report, path, why)
            continue
        count, total = count + 1, total + status.st_size
    return report


def _entries(depth: int, report: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Yield folder descriptor, name and path of everything that is not a folder."""
    left = [MAX_ENTRIES]
    try:
        root = os.open(f"{WORKSPACE}/output", FOLDER)
    except OSError as error:
        _skip(report, "", f"output cannot be read: {error.strerror}")
        return
    try:
        yield from _folder(root, "", depth, left, report)
    finally:
        os.close(root)


def _folder(
    folder_fd: int, prefix: str, depth: int, left: list[int], report: dict[str, Any]
) -> Iterator[tuple[int, str, str]]:
    for name in sorted(_names(folder_fd, prefix, left, report)):
        path = prefix + name
        try:
            inner = os.open(name, FOLDER, dir_fd=folder_fd)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                yield folder_fd, name, path
            else:
                _skip(report, path, f"cannot be read: {error.strerror}")
            continue
        try:
            if depth == 0:
                _skip(report, path + "/", "in too many folders")
            else:
                yield from _folder(inner, path + "/", depth - 1, left, report)
        finally:
            os.close(inner)


def _names(folder_fd: int, prefix: str, left: list[int], report: dict[str, Any]) -> list[str]:
    """Return the names in a folder; all folders together give at most MAX_ENTRIES."""
    names = []
    try:
        with os.scandir(folder_fd) as entries:
            for entry in entries:
                if left[0] == 0:
                    _skip(report, prefix, f"more than {MAX_ENTRIES} entries in output")
                    break
                left[0] -= 1
                names.append(entry.name)
    except OSError as error:
        _skip(report, prefix, f"cannot be read: {error.strerror}")
    return names


def _refusal(path: str, status: os.stat_result, caps: dict[str, int]) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_nlink > 1:
        return "a hard link"
    if status.st_size > caps["bytes"]:
        return f"larger than {caps['bytes']} bytes"
    if not path.isprintable() or len(os.fsencode(path)) > 255:
        return "a name that is not printable UTF-8 of at most 255 bytes"
    return None


def _skip(report: dict[str, Any], path: str, why: str) -> None:
    report["skipped_count"] += 1
    if len(report["skipped"]) < MAX_SKIPPED:
        shown = path.encode(errors="replace").decode()[:255]
        report["skipped"].append({"path": shown, "why": why})


def _send(channel: Channel, folder_fd: int, name: str, path: str, size: int) -> str | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder_fd)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        channel.send_json(protocol.ARTIFACT, {"path": path, "size": size})
        left = size
        while left and (data := os.read(descriptor, min(CHUNK, left))):
            channel.send(protocol.CONTENT, data)
            left -= len(data)
    finally:
        os.close(descriptor)
    return None
