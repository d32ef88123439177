"""Real PostgreSQL from a wheel's programs, on a Unix socket only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from deploy.errors import ServiceStartError
from deploy.local.binaries import postgres_binary, unprivileged
from deploy.local.handles import ProcessHandle, living_in, stop_all, wait_until_dead
from deploy.local.roles import ADMIN, APP, DATABASE, OWNER, ensure_roles
from deploy.local.secrets import SecretStore, write_private
from deploy.local.sockets import (
    SOCKET_NAME,
    make_socket_directory,
    remove_socket_directory,
    socket_directory,
)
from deploy.system import last_line

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30.0
# Backends end by themselves when their server is gone; a running statement may delay one.
ORPHAN_SECONDS = 20.0
INIT_TIMEOUT_SECONDS = 120
MAX_CONNECTIONS = 100

NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests: about twice as fast, and a crash of the machine may lose everything."""


class EmbeddedPostgres:
    """A PostgreSQL server whose data, log and passwords live in one folder.

    `secrets` defaults to a file in that folder; `options` are server settings by their name.
    """

    def __init__(
        self,
        directory: Path,
        *,
        secrets: SecretStore | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Take where everything lives; nothing is touched before `start`."""
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self._secrets = secrets or SecretStore(self.directory / "secrets.json")
        self._options = dict(options or {})

    @property
    def admin_url(self) -> str:
        """SQLAlchemy URL of the superuser; for making roles and databases, not for the runtime."""
        return self.url_for(ADMIN, "postgres")

    @property
    def owner_url(self) -> str:
        """SQLAlchemy URL of the role that owns the tables; for migrations."""
        return self.url_for(OWNER, DATABASE)

    @property
    def app_url(self) -> str:
        """SQLAlchemy URL of the role that the runtime uses; it may not create anything."""
        return self.url_for(APP, DATABASE)

    def url_for(self, role: str, database: str) -> str:
        """Return the SQLAlchemy URL of any role and database of this server."""
        return f"postgresql://{role}:{self._secrets.get(role)}@/{database}?host={self._sockets()}"

    def handle(self) -> ProcessHandle | None:
        """Return the running server's process, None when it is down."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        # The pid in a file of an earlier boot may be a stranger's: PostgreSQL lives in its data.
        try:
            at_home = Path(f"/proc/{pid}/cwd").readlink() == self.data.resolve()
        except OSError:
            return None
        return ProcessHandle.of(pid) if at_home else None

    def is_running(self) -> bool:
        """Whether the server runs and its socket is where clients will look."""
        return self.handle() is not None and (self._sockets() / SOCKET_NAME).is_socket()

    def start(self) -> None:
        """Start the server if it is down, making data and roles first if need be.

        Returns when it accepts connections; raises `ServiceStartError` otherwise.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.is_running():
            # A server whose socket folder vanished (a logout) is of no use to anyone.
            self.stop()
            if not (self.data / "PG_VERSION").exists():
                self._make_data()
            make_socket_directory(self.directory)
            self._clear_leftovers()
            self._write_settings()
            self._launch()
        try:
            ensure_roles(self.admin_url, self._secrets)
        except psycopg.OperationalError as error:
            raise ServiceStartError(
                f"PostgreSQL refuses its own passwords; restore {self._secrets.path}, or move "
                f"{self.directory} away to start empty"
            ) from error

    def stop(self) -> None:
        """Stop the server if it runs: open transactions roll back, then it writes a checkpoint."""
        running = self.handle()
        if running is not None:
            stop_all([running], first=signal.SIGINT, timeout=STOP_TIMEOUT_SECONDS)
        remove_socket_directory(self.directory)

    def _sockets(self) -> Path:
        return socket_directory(self.directory)

    def _make_data(self) -> None:
        # Renamed at the end: an interrupted initdb leaves nothing that looks finished.
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = self.directory / "initdb.password"
        write_private(password, self._secrets.get(ADMIN))
        words = ["-D", str(fresh), f"--username={ADMIN}", f"--pwfile={password}"]
        words += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        try:
            self._run("initdb", words, INIT_TIMEOUT_SECONDS)
        finally:
            password.unlink()
        with (fresh / "postgresql.conf").open("a") as settings:
            settings.write("include 'agentcore.conf'\n")
        fresh.rename(self.data)

    def _clear_leftovers(self) -> None:
        """Remove what a killed server left, once nothing of it is alive.

        PostgreSQL itself refuses to start while any process has that pid: also a zombie that
        nobody reaps, as in a container, or a stranger after a reboot.
        """
        for orphan in living_in(self.data.resolve()):
            if not wait_until_dead(orphan, ORPHAN_SECONDS):
                raise ServiceStartError(
                    f"process {orphan.pid} of a killed PostgreSQL still uses {self.data}; end it"
                )
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            (self._sockets() / name).unlink(missing_ok=True)

    def _write_settings(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets()),
            "unix_socket_permissions": "0700",
            "max_connections": str(MAX_CONNECTIONS),
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
        } | self._options
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        write_private(self.data / "agentcore.conf", "".join(lines))

    def _launch(self) -> None:
        self.log.touch(mode=0o600)
        words = ["start", "-w", "-s", f"-t{START_TIMEOUT_SECONDS}"]
        words += ["-D", str(self.data), "-l", str(self.log)]
        self._run("pg_ctl", words, START_TIMEOUT_SECONDS + 10)

    def _run(self, program: str, words: list[str], timeout: float) -> None:
        command = [*unprivileged(), str(postgres_binary(program)), *words]
        # Settings of another server (PGDATA, PGOPTIONS, ...) must not reach this one.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        try:
            # To a file: the server inherits the descriptors, and a pipe would never close.
            with (self.directory / "command.log").open("w+") as output:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=False,
                    timeout=timeout,
                    env=clean | {"LC_ALL": "C"},
                    cwd=self.directory,
                )
                output.seek(0)
                said = last_line(output.read())
        except subprocess.TimeoutExpired as error:
            raise ServiceStartError(f"{program} did not end in {timeout:.0f} s") from error
        if done.returncode != 0:
            raise ServiceStartError(
                f"PostgreSQL's {program} failed: {self._fatal() or said} (log: {self.log})"
            )

    def _fatal(self) -> str:
        """Return the last reason the server gave for not starting."""
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return last_line("\n".join(line for line in log.splitlines() if "FATAL: " in line))
