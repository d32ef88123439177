"""The whole stack of one machine: both servers, the migrations, and our five processes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import DiskFullError, ServiceStartError, StateDirectoryError
from deploy.local import environment as env
from deploy.local.containers import remove_containers
from deploy.local.ports import require_free_port
from deploy.local.processes import ProcessSpec, ProcessStatus, Supervisor
from deploy.local.readiness import wait_until_ready
from deploy.local.secrets import SecretStore
from deploy.local.services import embedded_services
from deploy.locking import exclusive_lock
from deploy.progress import Progress

ROOT = Path(__file__).resolve().parent.parent.parent
STATE_VARIABLE = "AGENTCORE_STATE_DIR"
API_PORT_VARIABLE = "AGENTCORE_API_PORT"
FLOWER_PORT_VARIABLE = "AGENTCORE_FLOWER_PORT"
API_PORT = 8002
FLOWER_PORT = 5555
MINIMUM_FREE_BYTES = 500 * 1000 * 1000
MIGRATION_TIMEOUT_SECONDS = 120.0

COMMANDS = {
    "api": ("api", "serve"),
    "worker": ("worker", "run"),
    "control": ("worker", "control"),
    "beat": ("worker", "beat"),
    "flower": ("worker", "flower"),
}
"""Our processes by name: module and subcommand, in the order of starting."""


class LocalStack:
    """The stack whose data, logs and secrets live in `state_dir`.

    `environ` (default: this process's) may name other servers: a database or broker that is set
    there is used, and its embedded counterpart is not started.
    """

    def __init__(
        self,
        state_dir: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> None:
        """Take where everything lives; nothing is touched before `up`."""
        self._environ = dict(os.environ if environ is None else environ)
        self.state = (
            state_dir or Path(self._environ.get(STATE_VARIABLE) or ROOT / ".state")
        ).absolute()
        self._secrets = SecretStore(self.state / "secrets.json")
        self._supervisor = Supervisor(self.state, cwd=ROOT)
        self._make_state()
        self.services = embedded_services(
            self.state,
            durable=durable,
            postgres=not env.is_given(self._environ, env.DATABASE_URL),
            valkey=not env.is_given(self._environ, env.BROKER_URL),
        )

    @property
    def api_host(self) -> str:
        """The address the API binds to."""
        return self._environ.get("AGENTCORE_API_HOST") or "127.0.0.1"

    @property
    def api_port(self) -> int:
        """The API's port, 8002 unless AGENTCORE_API_PORT says otherwise."""
        return self._port(API_PORT_VARIABLE, API_PORT)

    @property
    def flower_port(self) -> int:
        """Flower's port, 5555 unless AGENTCORE_FLOWER_PORT says otherwise."""
        return self._port(FLOWER_PORT_VARIABLE, FLOWER_PORT)

    @property
    def api_url(self) -> str:
        """Where clients on this machine reach the API."""
        return f"http://{_reachable(self.api_host)}:{self.api_port}"

    @property
    def flower_url(self) -> str:
        """Where people on this machine reach Flower."""
        host = _reachable(self._environ.get("AGENTCORE_FLOWER_HOST") or "127.0.0.1")
        return f"http://{host}:{self.flower_port}"

    def environment(self, *, owner: bool = False) -> dict[str, str]:
        """Return the environment that the API and the workers get; with `owner`, migrations'."""
        base = env.base_environment(self._environ, self.services, self.state)
        return base | (env.owner_environment(self._environ, self.services) if owner else {})

    def flower_login(self) -> tuple[str, str]:
        """Return Flower's user and password."""
        login = env.flower_environment(self._environ, self._secrets)
        return login[env.FLOWER_USER], login[env.FLOWER_PASSWORD]

    def up(self, say: Progress) -> None:
        """Start what is missing or dead, and return when the API says that all is ready.

        Raises a `LocalStackError` with one line; what did start keeps running.
        """
        with self._locked(say):
            self._check_disk()
            self._check_ports()
            say("starting PostgreSQL and Valkey")
            self.services.start()
            say("migrating the database")
            self._supervisor.run_to_end(self._migrations(), timeout=MIGRATION_TIMEOUT_SECONDS)
            for spec in self._specs():
                if self._supervisor.start(spec):
                    say(f"starting {spec.name}")
            wait_until_ready(
                _reachable(self.api_host), self.api_port, check_alive=self._check_alive, say=say
            )

    def down(self, say: Progress) -> None:
        """Stop everything that this stack started; the Docker engine stays up."""
        with self._locked(say):
            self._stop_processes(say)
            removed = remove_containers(self.environment()["AGENTCORE_DEPLOYMENT"])
            if removed:
                say(f"removed the containers of {removed} executions that were interrupted")
            say("stopping PostgreSQL and Valkey")
            # Both, whatever the environment says today: `up` may have been run with another.
            embedded_services(self.state, durable=True).stop()

    def status(self) -> list[ProcessStatus]:
        """Return what is known of each part, servers first."""
        own = [self._supervisor.status(name) for name in COMMANDS]
        return [*self.services.status(), *own]

    def _stop_processes(self, say: Progress) -> None:
        # This environment may be another than the one that they were started with.
        here = env.stop_seconds(self._environ, folder=ROOT)
        timeout = self._supervisor.stop_seconds(list(COMMANDS), unrecorded=here)
        if timeout:
            say(f"stopping the processes (up to {timeout:.0f} s while executions end)")
        self._supervisor.stop(list(COMMANDS), timeout=timeout)

    def _migrations(self) -> ProcessSpec:
        argv = (sys.executable, "-m", "alembic", "upgrade", "head")
        environment = self.environment(owner=True)
        return ProcessSpec(name="migrations", argv=argv, environment=environment)

    def _specs(self) -> Iterator[ProcessSpec]:
        base = self.environment()
        seconds = env.stop_seconds(base, folder=ROOT)
        for name, words in COMMANDS.items():
            extra = env.flower_environment(self._environ, self._secrets) if name == "flower" else {}
            argv = (sys.executable, "-m", *words)
            yield ProcessSpec(name=name, argv=argv, environment=base | extra, stop_seconds=seconds)

    def _check_alive(self) -> None:
        for name in COMMANDS:
            if self._supervisor.handle_of(name) is None:
                raise self._supervisor.failure(name)

    def _check_ports(self) -> None:
        flower_host = self._environ.get("AGENTCORE_FLOWER_HOST") or "127.0.0.1"
        for name, host, port, variable in (
            ("api", self.api_host, self.api_port, API_PORT_VARIABLE),
            ("flower", flower_host, self.flower_port, FLOWER_PORT_VARIABLE),
        ):
            if self._supervisor.handle_of(name) is None:
                require_free_port(host, port, variable)

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.state).free
        if free < MINIMUM_FREE_BYTES:
            raise DiskFullError(
                f"only {free // 1_000_000} MB are free at {self.state}; free at least 500 MB, or "
                f"set {STATE_VARIABLE} to a folder on another disk"
            )

    def _port(self, variable: str, default: int) -> int:
        text = self._environ.get(variable) or str(default)
        if not text.isdecimal() or not 1 <= int(text) <= 65_535:
            raise ServiceStartError(f"{variable} is {text!r}; set it to a port from 1 to 65535")
        return int(text)

    def _make_state(self) -> None:
        try:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise StateDirectoryError(
                f"cannot make {self.state}: {error.strerror}; set {STATE_VARIABLE}"
            ) from error
        if not os.access(self.state, os.W_OK | os.X_OK):
            raise StateDirectoryError(f"cannot write to {self.state}; set {STATE_VARIABLE}")

    @contextmanager
    def _locked(self, say: Progress) -> Iterator[None]:
        with exclusive_lock(self.state / "stack.lock", say=say):
            yield


def _reachable(host: str) -> str:
    """Return an address to connect to for one to listen on."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared only
