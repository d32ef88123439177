"""The deployment that is attacked, with everything that the host's own evidence needs."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import docker

from tests.harness import Api, Stack
from tests.security.adversarial import host

QUOTA_BYTES = 16_777_216  # the case's quota of 16 MiB, and the size of /dev/shm
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

    def containers(self) -> list[Any]:
        """The containers of this deployment, running or not."""
        label = f"dev.agentcore.deployment={self.stack.environment['AGENTCORE_DEPLOYMENT']}"
        # Not the SDK's list, which looks at each again and fails when one has gone meanwhile.
        return list(self.engine.api.containers(all=True, filters={"label": label}))

    def problems(self) -> list[str]:
        """What is wrong with the host and the deployment, in words."""
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
            found += [f"container {item['Id'][:12]} is left" for item in self.containers()]
        except docker.errors.DockerException as error:
            found.append(f"the engine does not answer: {error}")
        return found
