"""Runs sandboxes without a stack around them: a spec in, the outcome and a batch's runs out."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve
from models.sandbox import InputOutcome, Outcome, SandboxConfig, build_spec
from models.settings import Settings
from worker.sandbox.docker_backend import DockerBackend


class Chunks(list[list[InputOutcome]]):
    """Runs, as they were passed on."""


class DirectBackend:
    """A worker's backend, asked as an executor asks it."""

    def __init__(self, image: str) -> None:
        self._settings = Settings(
            database_url="unused://",
            broker_url="unused://",
            deployment=f"direct-{uuid.uuid4().hex[:8]}",
            sandbox_images={"python": image},
        )
        self.docker = DockerBackend(self._settings, "direct")

    def spec(self, body: dict[str, Any], **changes: Any) -> SandboxConfig:
        """Return the sandbox of a request's fields; `changes` are made to the spec itself."""
        request = merge_agent(ExecutionRequest.model_validate(body), None)
        effective = resolve(request, self._settings)
        spec = build_spec(uuid.uuid4(), 1, request, effective, self._settings)
        return spec.model_copy(update=changes)

    def run(self, body: dict[str, Any], **changes: Any) -> Outcome:
        """Run to the end."""
        return self.docker.run(self.spec(body, **changes), lambda _: None)

    def run_batch(
        self,
        body: dict[str, Any],
        *,
        on_chunk: Callable[[SandboxConfig, Chunks], None] = lambda *_: None,
        **changes: Any,
    ) -> tuple[Outcome, Chunks]:
        """Run a batch; return its outcome, and the runs in the chunks in which they came."""
        spec, chunks = self.spec(body, **changes), Chunks()

        def take(results: Any) -> None:
            chunks.append(list(results))
            on_chunk(spec, chunks)

        return self.docker.run(spec, lambda _: None, take), chunks


@contextmanager
def direct_backend(image: str) -> Iterator[DirectBackend]:
    """Make one, and end what it leaves running."""
    made = DirectBackend(image)
    try:
        yield made
    finally:
        made.docker.close()
