"""The deployment that is attacked, with everything that the host's own evidence needs."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import docker
import httpx
import psycopg

from tests.harness import Api, Stack, wait_until
from tests.security.adversarial import host

QUOTA_BYTES = 16_777_216  # the case's quota of 16 MiB, and the size of /dev/shm
LEFT_TIMEOUT = 10  # seconds for a container to be removed and, if it was warm, to be replaced
WARM = "dev.agentcore.warm"  # label of what was started ahead of its job
USED = """
SELECT data::jsonb #>> '{isolation,engine,container}' FROM audit_events
WHERE kind = 'user_code_started'
"""
_SECRET_VARIABLES = (
    "AGENTCORE_DATABASE_URL",
    "AGENTCORE_DATABASE_OWNER_URL",
    "AGENTCORE_BROKER_URL",
)


@dataclass(frozen=True, kw_only=True)
class Arena:
    """One stack of real processes, and what it must not lose."""

    stack: Stack
    api: Api
    engine: docker.DockerClient
    canary: host.Canary
    fingerprint: dict[str, str] = field(default_factory=host.fingerprint)
    clock: float = field(default_factory=host.clock_offset)

    @property
    def secrets(self) -> dict[str, str]:
        """What no program may ever see, by name."""
        found = {"the API key": self.api.key, "the host's name": self.fingerprint[host.HOSTNAME]}
        for name in _SECRET_VARIABLES:
            value = self.stack.environment[name]
            found[name] = value
            if password := urlsplit(value).password:
                found[f"password of {name}"] = password
        return found

    @property
    def command(self) -> dict[str, str]:
        """The environment of the `agentcore` command for this deployment."""
        return {
            **self.stack.environment,
            "AGENTCORE_URL": self.stack.url,
            "AGENTCORE_API_KEY": self.api.key,
            "TERM": "xterm-256color",
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def targets(self) -> dict[str, str]:
        """What programs are told of the host, as their environment."""
        variables = {
            "QUOTA_BYTES": str(QUOTA_BYTES),
            "CANARY_PID": str(self.canary.pid),
            "CANARY_FILE": str(self.canary.file),
            "CANARY_PORT": str(self.canary.port),
            "HOST_PORTS": f"{self.stack.port} 2375 5432 6379 8002",
            "HOST_ADDRESSES": " ".join(host.addresses(self.engine)),
            "HOST_SOCKETS": str(self.canary.file.parent / "none.sock"),
        }
        return {**variables, "OWN": " ".join(variables)}

    def left(self) -> list[str]:
        """What is there of containers, running or not, beside those that wait for a job."""
        label = f"dev.agentcore.deployment={self.stack.environment['AGENTCORE_DEPLOYMENT']}"
        # Not the SDK's list, which looks at each again and fails when one has gone meanwhile.
        found = self.engine.api.containers(all=True, filters={"label": label})
        return left_over(found, self._used(), self._waiting())

    def _left_for_good(self) -> list[str]:
        try:
            wait_until(lambda: not self.left(), LEFT_TIMEOUT, "the end of every container")
        except AssertionError:
            return self.left()
        return []

    def _used(self) -> set[str]:
        """The short ids of the containers that have run a program, by the audit trails."""
        with psycopg.connect(self.stack.owner_url) as connection:
            return {row[0] for row in connection.execute(USED).fetchall()}

    def _waiting(self) -> int:
        """How many sandboxes wait for a job, as the worker tells it."""
        port = self.stack.environment["AGENTCORE_WORKER_METRICS_PORT"]
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        (line,) = (line for line in text.splitlines() if line.startswith("agentcore_pool_waiting"))
        return int(float(line.split()[1]))

    def problems(self) -> list[str]:
        """What is wrong with the host and the deployment, in words.

        Waits until no container is there that should not be.
        """
        found = self.canary.problems()
        now = host.fingerprint()
        found += [
            f"{name} of the host changed" for name in now if now[name] != self.fingerprint[name]
        ]
        if abs(host.clock_offset() - self.clock) > host.CLOCK_SLACK:
            found.append("the host's clock was set")
        for name, process in self.stack.processes.items():
            if process.poll() is not None:
                found.append(f"the process {name} ended: {self.stack.log(name)[-300:]}")
        try:
            self.engine.ping()
            found += self._left_for_good()
        except docker.errors.DockerException as error:
            found.append(f"the engine does not answer: {error}")
        return found


def left_over(found: list[Any], used: set[str], waiting: int) -> list[str]:
    """Return, in words, which containers are there and should not be.

    One that was started ahead may be there while it waits, and after a program has run in it no
    more.
    """
    clean = [item for item in found if WARM in item["Labels"] and item["Id"][:12] not in used]
    problems = [f"container {item['Id'][:12]} is left" for item in found if item not in clean]
    if len(clean) != waiting:
        problems.append(f"{len(clean)} containers were started ahead, and {waiting} wait")
    return problems
