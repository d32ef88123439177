"""A Docker backend in the tests' own process, for what needs neither database nor broker."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import docker

from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve
from models.sandbox import Outcome, SandboxConfig, build_spec
from models.settings import Settings
from tests.harness import wait_until
from worker.sandbox.docker_backend import DockerBackend

FILL_TIMEOUT = 60  # seconds for a few sandboxes to start on a busy machine


class Own:
    """One backend, under a deployment of its own."""

    def __init__(self, engine: docker.DockerClient, image: str, **settings: Any) -> None:
        values: dict[str, Any] = {
            "database_url": "unused://",
            "broker_url": "unused://",
            "deployment": f"test-{secrets.token_hex(4)}",
            "sandbox_images": {"python": image},
            "allowed_profiles": ("minimal", "standard", "privileged"),
            "allow_writable_root": True,
            "pool_size": 2,
            "pool_max": 4,
        }
        self.engine = engine
        self.settings = Settings(**values | settings)
        self.worker_id = f"here:{secrets.token_hex(4)}"
        self.backend = DockerBackend(self.settings, self.worker_id)

    def spec(
        self, source: str = "pass", *, attempt: int = 1, of: UUID | None = None, **fields: Any
    ) -> SandboxConfig:
        """Return the sandbox of a request, as an attempt of a new execution unless told which."""
        request = merge_agent(ExecutionRequest.model_validate({"source": source} | fields), None)
        effective = resolve(request, self.settings)
        return build_spec(of or uuid4(), attempt, request, effective, self.settings)

    def run(self, source: str = "pass", **fields: Any) -> Outcome:
        """Run a request to its end."""
        return self.backend.run(self.spec(source, **fields), lambda _isolation: None)

    def warm_up(self, *sources: str, **fields: Any) -> None:
        """Start the pool for requests with these fields, and wait until it is full."""
        self.backend.warm_up([self.spec(*sources, **fields)])
        self.await_pool()

    def await_pool(self) -> None:
        """Wait until as many sandboxes wait as should."""
        pool = self.backend._pool
        wait_until(lambda: pool.waiting == pool.target, FILL_TIMEOUT, "a full pool")

    def await_quiet(self) -> None:
        """Wait until as many wait as should, and no other container is there."""
        self.await_pool()
        pool = self.backend._pool
        wait_until(lambda: len(self.ids()) == pool.waiting == pool.target, 20, "nothing else")

    def containers(self) -> list[dict[str, Any]]:
        """Return all containers of this backend, as the engine lists them."""
        labels = [
            f"dev.agentcore.deployment={self.settings.deployment}",
            f"dev.agentcore.worker={self.worker_id}",
        ]
        return list(self.engine.api.containers(all=True, filters={"label": labels}))

    def ids(self) -> set[str]:
        """Return the containers' ids."""
        return {item["Id"] for item in self.containers()}


@contextmanager
def own_backend(engine: docker.DockerClient, image: str, **settings: Any) -> Iterator[Own]:
    """A backend that is closed in the end, and then has left nothing."""
    made = Own(engine, image, **settings)
    try:
        yield made
    finally:
        made.backend.close()
    assert made.containers() == []


def was_warm(outcome: Outcome) -> bool:
    """Whether the job found its sandbox waiting."""
    assert outcome.isolation is not None
    return bool(outcome.isolation["engine"]["warm"])


def container_of(outcome: Outcome) -> str:
    """Return the short id of the container that ran the job."""
    assert outcome.isolation is not None
    return str(outcome.isolation["engine"]["container"])
