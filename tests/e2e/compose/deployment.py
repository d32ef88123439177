"""One stack of docker-compose.yml, of a test's own: its project, secrets, ports and volumes."""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import docker
import httpx

from deploy import compose_secrets
from deploy.compose import host, program
from tests.harness import ROOT, Api, free_port, wait_until

HERE = Path(__file__).resolve().parent
UP_SECONDS = 300  # for all services to be well, on a busy machine
COMMAND_SECONDS = 420
FILES = "files.example.test:8080"
SOURCES = ("api", "models", "security_profiles", "worker")


class Deployment:
    """Runs Compose as a person would, and knows what belongs to it."""

    def __init__(
        self, engine: docker.DockerClient, directory: Path, images: dict[str, str]
    ) -> None:
        self.engine = engine
        self.project = f"agentcore-test-{secrets.token_hex(4)}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.flower = f"http://127.0.0.1:{free_port()}"
        self.reloading = f"http://127.0.0.1:{free_port()}"
        self.registry = f"127.0.0.1:{free_port()}"
        self.secrets = directory / "secrets"
        self.source = directory / "source"
        self._env = directory / "env"
        compose_secrets.main(self.secrets)
        for name in SOURCES:
            shutil.copytree(ROOT / name, self.source / name)
        self._settings = {
            "AGENTCORE_SECRETS": str(self.secrets),
            "AGENTCORE_SOURCE": str(self.source),
            "AGENTCORE_DEPLOYMENT": self.project,
            "AGENTCORE_API_PORT": self.url.rpartition(":")[2],
            "AGENTCORE_FLOWER_PORT": self.flower.rpartition(":")[2],
            "AGENTCORE_API_DEV_PORT": self.reloading.rpartition(":")[2],
            "AGENTCORE_REGISTRY_PORT": self.registry.rpartition(":")[2],
            **host.facts(images),
        }
        self._write_settings()

    def up(self) -> None:
        """Start everything and wait until it is well; sandboxes may reach FILES."""
        wait = ("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS))
        self.compose(*wait, "files")
        address = self.address_of("files", "egress")
        ceiling = json.dumps([FILES, f"{address}:8080"])
        self._settings["AGENTCORE_EGRESS_CEILING"] = f"'{ceiling}'"
        self._write_settings()
        self.compose(*wait)

    def _write_settings(self) -> None:
        lines = [f"{name}={value}\n" for name, value in self._settings.items()]
        self._env.write_text("".join(lines), encoding="utf-8")

    def down(self) -> None:
        """Remove everything, data too."""
        self.compose("--profile", "dev", "down", "--volumes")

    def compose(self, *words: str) -> str:
        """Run Compose with these words; return what it printed."""
        done = subprocess.run(
            [
                *program.command(), "--file", str(HERE / "with-files.yml"),
                "--project-directory", str(ROOT), "--env-file", str(self._env),
                "--project-name", self.project, *words,
            ],
            env={k: v for k, v in os.environ.items() if not k.startswith(("AGENTCORE", "COMPOSE"))},
            capture_output=True, text=True, timeout=COMMAND_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}\n{self._logs()}"
        return done.stdout

    def _logs(self) -> str:
        lines = ""
        for item in self.containers():
            lines += f"== {item.name} {item.status}\n{item.logs(tail=15).decode(errors='replace')}"
        return lines

    def containers(self) -> list[Any]:
        """Return the containers that Compose made, ended ones too."""
        return self._list(self._own)

    def container(self, service: str) -> Any:
        """Return the container of a service."""
        label = f"com.docker.compose.service={service}"
        filters = {"label": [self._own["label"], label]}
        return self._list(filters)[0]

    def address_of(self, service: str, network: str) -> str:
        """Return the address of a service in one of the networks."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        return str(networks[f"{self.project}_{network}"]["IPAddress"])

    def sandboxes(self) -> list[Any]:
        """Return the containers that the worker started."""
        return self._list({"label": f"dev.agentcore.deployment={self.project}"})

    def busy_sandboxes(self) -> list[Any]:
        """Return those that have an execution of their own: the pool's wait for one."""
        return [item for item in self.sandboxes() if "dev.agentcore.warm" not in item.labels]

    def leftovers(self) -> dict[str, list[str]]:
        """Return the names of all that there still is, by kind."""
        networks = self.engine.networks.list(filters=self._own)
        volumes = self.engine.volumes.list(filters=self._own)
        everything = {
            "containers": self.containers(),
            "sandboxes": self.sandboxes(),
            "networks": networks,
            "volumes": volumes,
        }
        return {
            kind: [str(item.name) for item in found] for kind, found in everything.items() if found
        }

    def wait_well(self, service: str) -> None:
        """Wait until the service's own health check says that it is well."""

        def well() -> bool:
            state = self.container(service).attrs["State"]
            return bool(state["Running"] and state["Health"]["Status"] == "healthy")

        wait_until(well, UP_SECONDS, f"health of {service}")

    def wait_ready(self) -> None:
        """Wait until the API says that executions can run."""

        def ready() -> bool:
            try:
                return httpx.get(f"{self.url}/health/ready", timeout=10).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(ready, UP_SECONDS, "readiness")

    def client(self, tenant: str) -> Api:
        """Return a client of the published API with a new key."""
        words = ("python", "-m", "api", "keys", "create", "--tenant", tenant, "--all-permissions")
        return Api(self.url, self.compose("exec", "-T", "api", *words).strip())

    def _list(self, filters: dict[str, Any]) -> list[Any]:
        # Sandboxes come and go between the list and a look at each.
        found: list[Any] = self.engine.containers.list(
            all=True, filters=filters, ignore_removed=True
        )
        return found

    @property
    def _own(self) -> dict[str, str]:
        return {"label": f"com.docker.compose.project={self.project}"}
