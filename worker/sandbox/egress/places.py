"""Where gates are: `ROOT/w-NAME/GATE/egress.sock`, and how dead workers' places are swept.

The worker's own directory is private: no other user of the host gets past it. What is mounted
into a sandbox is the gate's directory, open to any user, for nobody knows how users are remapped.
A file lock beside the worker's directory says that the worker lives; the kernel drops it with the
process, whatever kills it, which a process id in a name could not tell.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.sandbox.egress.errors import SocketPathError

SOCKET = "egress.sock"
MAX_SOCKET_PATH = 107  # bytes: sun_path of sockaddr_un has 108 with its NUL (unix(7))
BACKLOG = 128  # connections that the kernel holds while we do not accept
PREFIX, LOCK_SUFFIX = "w-", ".lock"


def socket_path(directory: Path) -> Path:
    """Return where the socket of a gate is. Raises SocketPathError if that is too long."""
    path = directory / SOCKET
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise SocketPathError(
            f"{path} has {length} bytes, and a socket's path at most {MAX_SOCKET_PATH}: "
            "choose a shorter directory for the egress sockets"
        )
    return path


def listen(directory: Path) -> socket.socket:
    """Make a gate's directory if it is not there, and listen in it. Raises OSError."""
    path = socket_path(directory)
    directory.mkdir(mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A proxy that died has left its socket; the directory itself stays, for it is mounted.
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(BACKLOG)
        directory.chmod(0o755)
    except OSError:
        listener.close()
        raise
    return listener


def remove(directory: Path) -> None:
    """Remove a directory of ours, if it is still there."""
    shutil.rmtree(directory, ignore_errors=True)


class WorkerPlace:
    """One worker's directory below `root`, kept until `close` or the process's end.

    Raises SocketPathError when `root` is open to others, or OSError.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(root)
        with _exclusively(root):
            sweep(root)
            self.directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
            self._lock_path = self.directory.with_name(self.directory.name + LOCK_SUFFIX)
            self._lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the directory."""
        remove(self.directory)
        self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)


def sweep(root: Path) -> int:
    """Remove what dead workers left below `root`; return how many there were."""
    swept = 0
    for directory in root.glob(f"{PREFIX}*"):
        if directory.suffix != LOCK_SUFFIX and _is_abandoned(directory):
            remove(directory)
            directory.with_name(directory.name + LOCK_SUFFIX).unlink(missing_ok=True)
            swept += 1
    return swept


def _is_abandoned(directory: Path) -> bool:
    lock_path = directory.with_name(directory.name + LOCK_SUFFIX)
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True  # died between the two; the root's lock keeps live ones out of here
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _check_private(root: Path) -> None:
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise SocketPathError(f"{root} is not a directory of this user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise SocketPathError(f"{root} is open to other users: chmod 700 {root}")


@contextmanager
def _exclusively(root: Path) -> Iterator[None]:
    """Keep other workers from making or sweeping places in the meantime."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
