"""Streams the regular files under /workspace/output, within caps; links are never followed."""

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from . import protocol
from .channel import Channel
from .program import WORKSPACE

MAX_SKIPPED = 20  # entries named in the report; the rest is only counted
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
    root = str(WORKSPACE / "output")

    def unreadable(error: OSError) -> None:
        path = os.path.relpath(str(error.filename), root)
        _skip(report, path, f"cannot be read: {error.strerror}")

    try:
        if stat.S_ISDIR(os.lstat(root).st_mode):
            yield from _walk(root, depth, report, unreadable)
        else:
            _skip(report, "", "output is not a folder")
    except OSError as error:
        _skip(report, "", f"output cannot be read: {error.strerror}")


def _walk(
    root: str, depth: int, report: dict[str, Any], unreadable: Callable[[OSError], None]
) -> Iterator[tuple[int, str, str]]:
    for folder, folders, files, folder_fd in os.fwalk(root, onerror=unreadable):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else below + "/"
        if prefix.count("/") >= depth and folders:
            _skip(report, prefix, f"deeper than {depth} folders")
            folders.clear()
        # fwalk counts links to folders among the folders; they are entries to be refused.
        links = [name for name in folders if _is_link(name, folder_fd)]
        folders.sort()
        for name in sorted(files + links):
            yield folder_fd, name, prefix + name


def _is_link(name: str, folder_fd: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


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
