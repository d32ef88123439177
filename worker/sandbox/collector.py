"""Gathers a sandbox's frames into bounded values, trusting none of the guest's caps."""

from models.sandbox import ArtifactContent, CapturedStream, SandboxConfig
from worker.sandbox.backend import OnResults, no_results
from worker.sandbox.errors import ProtocolError
from worker.sandbox.guest import protocol
from worker.sandbox.report import ArtifactHead, ExitReport, parse


class StreamKeeper:
    """Head and tail of one output stream, within the configured size."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()

    def head(self, data: bytes) -> None:
        """Append to the head; what is over the limit is dropped."""
        self._head += data[: max(0, self._limit - len(self._head) - len(self._tail))]

    def tail(self, data: bytes) -> None:
        """Append to the tail; what is over the limit is dropped."""
        self._tail += data[: max(0, self._limit - len(self._head) - len(self._tail))]

    def captured(self, reported_total: int | None) -> CapturedStream:
        """Return what was kept; without a report the kept bytes are all that is known."""
        kept = len(self._head) + len(self._tail)
        total = max(kept, reported_total or 0)
        if total == kept:
            return CapturedStream(kept=bytes(self._head + self._tail), total_bytes=total)
        gap = f"\n[... {total - kept} bytes left out ...]\n".encode()
        return CapturedStream(
            kept=bytes(self._head + gap + self._tail), total_bytes=total, truncated=True
        )


class Collector:
    """The state of one sandbox as its frames tell it."""

    def __init__(self, spec: SandboxConfig, on_results: OnResults = no_results) -> None:
        self._spec = spec
        self._on_results = on_results
        self.started = False
        self.exit: ExitReport | None = None
        self.stdout = StreamKeeper(spec.max_output_bytes)
        self.stderr = StreamKeeper(spec.max_output_bytes)
        self._artifacts: list[tuple[str, int, bytearray]] = []
        self._artifact_bytes = 0

    @property
    def artifacts(self) -> tuple[ArtifactContent, ...]:
        """The artifacts that arrived whole."""
        return tuple(
            ArtifactContent(path=path, content=bytes(content))
            for path, size, content in self._artifacts
            if len(content) == size
        )

    def flush(self) -> None:
        """Pass on the runs of a batch that ended."""

    def take(self, kind: bytes, payload: bytes) -> None:
        """Take one frame. Raises ProtocolError when it makes no sense here."""
        keep = {
            protocol.STDOUT: self.stdout.head,
            protocol.STDERR: self.stderr.head,
            protocol.STDOUT_TAIL: self.stdout.tail,
            protocol.STDERR_TAIL: self.stderr.tail,
            protocol.ARTIFACT: self._artifact,
            protocol.CONTENT: self._content,
        }.get(kind)
        if keep is not None:
            keep(payload)
        elif kind == protocol.STARTED:
            self.started = True
        elif kind == protocol.EXIT:
            self.exit = parse(ExitReport, payload)
        else:
            raise ProtocolError(f"unexpected frame {kind!r}")

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
