"""Where gates are: `ROOT/w-NAME/GATE/egress.sock`, and how dead workers' places are swept.

The worker's own directory is private: no other user of the host gets past it. What is mounted
into a sandbox is the gate's directory, open to any user, for nobody knows how users are remapped.
A lock on the worker's directory itself says that the worker lives; the kernel drops it with the
process, whatever kills it, which a process id in a name could not tell. There is no file to lose to
whoever cleans up, and systemd-tmpfiles leaves what lies in a locked directory alone.
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
PREFIX = "w-"


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


def make(directory: Path) -> None:
    """Make a gate's directory, open to whoever a sandbox's user is outside. Raises OSError."""
    directory.mkdir(mode=0o700)
    directory.chmod(0o755)


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
            self._lock: int | None = _opened(self.directory)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def is_there(self) -> bool:
        """Whether the directory is still the one that was made."""
        if self._lock is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._lock), os.lstat(self.directory))
        except OSError:
            return False

    def close(self) -> None:
        """Remove the directory; nothing is done the second time."""
        if self._lock is not None:
            remove(self.directory)
            os.close(self._lock)
            self._lock = None


def sweep(root: Path) -> int:
    """Remove what dead workers left below `root`; return how many there were."""
    swept = 0
    for directory in root.glob(f"{PREFIX}*"):
        if _is_abandoned(directory):
            remove(directory)
            swept += 1
    return swept


def _opened(directory: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(directory, flags)


def _is_abandoned(directory: Path) -> bool:
    # One that was made and is not locked yet is kept from us by the root's lock.
    try:
        lock = _opened(directory)
    except OSError:
        return False  # gone meanwhile, or no directory, and so none of ours
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
    descriptor = _opened(root)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
