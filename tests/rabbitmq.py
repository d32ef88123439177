"""A RabbitMQ of the system's package as a test's own broker, on loopback only."""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import kombu

from deploy.local.binaries import unprivileged
from tests.harness import free_port, wait_until

# The package's own script in the PATH changes to a system user, who cannot read a test's folder.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_TIMEOUT = 40  # seconds; two on an idle machine
STOP_TIMEOUT = 20  # seconds


def is_installed() -> bool:
    """Whether the server and Erlang's port mapper are there."""
    return SERVER.exists() and shutil.which("epmd") is not None


class RabbitMQ:
    """One node with its own folder, ports, cookie and port mapper; knows nothing of the system's.

    `settings` are lines of rabbitmq.conf; `advanced` is the text of advanced.config.
    """

    def __init__(self, directory: Path, *settings: str, advanced: str = "[].") -> None:
        self.directory = directory
        self._port, self._epmd_port, self._peer_port = free_port(), free_port(), free_port()
        self._password = secrets.token_hex(16)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self._port}",
            "default_user = agentcore",
            f"default_pass = {self._password}",
            "log.file = false",
            "log.console = true",
            "log.console.level = warning",
            *settings,
        ]
        (directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (directory / "advanced.config").write_text(advanced)

    @property
    def url(self) -> str:
        """Celery URL; the password is in it."""
        return f"amqp://agentcore:{self._password}@127.0.0.1:{self._port}//"

    @property
    def log(self) -> str:
        """What the server said: warnings and worse."""
        return (self.directory / "rabbitmq.log").read_text(errors="replace")

    def start(self) -> None:
        """Start the node and wait until it takes a connection."""
        # Started here, for otherwise the node would, and leave it running when it ends.
        mapper = ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        self._spawn("epmd", mapper)
        wait_until(self._mapper_answers, 10, "the port mapper")
        self._spawn("rabbitmq", [str(SERVER)])
        wait_until(self._answers, START_TIMEOUT, "RabbitMQ")

    def stop(self) -> None:
        """End the node, then its port mapper; what is durable is kept for the next start."""
        for name in ("rabbitmq", "epmd"):
            if name in self._processes:
                self._end(self._processes.pop(name))

    def _spawn(self, name: str, argv: list[str]) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*unprivileged(), *argv],
                cwd=self.directory, env=self._environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        place = {
            "HOME": "",  # for the cookie
            "RABBITMQ_MNESIA_BASE": "mnesia",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_GENERATED_CONFIG_DIR": "generated",
            "RABBITMQ_CONFIG_FILE": "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "plugins",
            "RABBITMQ_CONF_ENV_FILE": "no-environment-file",
            "RABBITMQ_PID_FILE": "pid",
        }
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": "agentcore@localhost",
            "RABBITMQ_DIST_PORT": str(self._peer_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_CRASH_DUMP_SECONDS": "0",
            **{name: str(self.directory / path) for name, path in place.items()},
        }

    def _mapper_answers(self) -> bool:
        assert self._processes["epmd"].poll() is None, "epmd ended"
        names = ["epmd", "-port", str(self._epmd_port), "-names"]
        return subprocess.run(names, capture_output=True, check=False, timeout=10).returncode == 0

    def _answers(self) -> bool:
        assert self._processes["rabbitmq"].poll() is None, f"RabbitMQ ended:\n{self.log}"
        try:
            with kombu.Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
