"""A started sandbox that has no job yet, and what is to be ended with it."""

import time
from dataclasses import dataclass, field

from models.sandbox import SandboxConfig
from worker.sandbox.connection import Connection
from worker.sandbox.network import Place


@dataclass(kw_only=True, eq=False)
class Launched:
    """One container whose supervisor waits; `spec` is what it was started as."""

    spec: SandboxConfig
    container_id: str
    connection: Connection
    place: Place | None  # where its socket to the egress proxy will be
    token: str = ""  # value of its label if it was started ahead of its job
    image_id: str = ""  # of one that was; its reference may come to mean another
    started_at: float = field(default_factory=time.monotonic)  # on the monotonic clock
    ended_by_itself: bool = False  # its program is over and has been reported

    @property
    def is_warm(self) -> bool:
        """Whether it was started ahead of its job."""
        return bool(self.token)
