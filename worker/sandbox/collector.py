"""Gathers a sandbox's frames into bounded values, trusting none of the guest's caps."""

import time
from collections.abc import Callable

from models.sandbox import ArtifactContent, SandboxConfig
from worker.sandbox.backend import OnResults, no_results
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest import protocol
from worker.sandbox.keeper import StreamKeeper
from worker.sandbox.report import ArtifactHead, ExitReport, parse
from worker.sandbox.runs import Runs


class Collector:
    """The state of one sandbox as its frames tell it."""

    def __init__(self, spec: SandboxConfig, on_results: OnResults = no_results) -> None:
        """`on_results` is given the runs of a batch, as they end."""
        self._spec = spec
        self.started = False
        self.exit: ExitReport | None = None
        self.runs = Runs(spec, on_results) if spec.inputs else None
        self.stdout = StreamKeeper(spec.max_output_bytes)
        self.stderr = StreamKeeper(spec.max_output_bytes)
        self._artifacts: list[tuple[str, int, bytearray]] = []
        self._artifact_bytes = 0
        self._keepers = {
            **self._outputs(),
            protocol.ARTIFACT: self._artifact,
            protocol.CONTENT: self._content,
        }

    @property
    def artifacts(self) -> tuple[ArtifactContent, ...]:
        """The artifacts that arrived whole."""
        return tuple(
            ArtifactContent(path=path, content=bytes(content))
            for path, size, content in self._artifacts
            if len(content) == size
        )

    @property
    def due(self) -> float:
        """When runs are to be passed on, on the monotonic clock; `take` or `pass_on` does it."""
        return float("inf") if self.runs is None else self.runs.due

    def pass_on(self) -> None:
        """Pass on the runs that are due."""
        if time.monotonic() >= self.due:
            self.flush()

    def flush(self) -> None:
        """Pass on the runs of a batch that ended."""
        if self.runs is not None:
            self.runs.flush()

    def take(self, kind: bytes, payload: bytes) -> None:
        """Take one frame. Raises ProtocolError when it makes no sense here."""
        if (keep := self._keepers.get(kind)) is not None:
            keep(payload)
        elif kind == protocol.STARTED:
            self.started = True
        elif kind == protocol.EXIT:
            self.exit = parse(ExitReport, payload)
        else:
            raise ProtocolError(f"unexpected frame {kind!r}")

    def _outputs(self) -> dict[bytes, Callable[[bytes], None]]:
        if self.runs is not None:
            return {protocol.RUN: self.runs.begin, protocol.REST: self.runs.more}
        return {
            protocol.STDOUT: self.stdout.head,
            protocol.STDERR: self.stderr.head,
            protocol.STDOUT_TAIL: self.stdout.tail,
            protocol.STDERR_TAIL: self.stderr.tail,
        }

    def _artifact(self, payload: bytes) -> None:
        head = parse(ArtifactHead, payload)
        path, size = head.path, head.size
        if not _is_safe(path) or any(path == known for known, _, _ in self._artifacts):
            raise ProtocolError("an artifact without a path of its own")
        self._artifact_bytes += size
        if (
            size > self._spec.max_artifact_bytes
            or self._artifact_bytes > self._spec.max_artifacts_bytes
            or len(self._artifacts) >= self._spec.max_artifacts
        ):
            raise ProtocolError("artifacts over their caps")
        self._artifacts.append((path, size, bytearray()))

    def _content(self, payload: bytes) -> None:
        if not self._artifacts:
            raise ProtocolError("content without an artifact")
        _path, size, content = self._artifacts[-1]
        if len(content) + len(payload) > size:
            raise ProtocolError("an artifact larger than it said")
        content += payload


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return (
        path.isprintable()
        and len(path.encode()) <= 255
        and all(part not in ("", ".", "..") for part in parts)
    )
