"""What a fault may touch, and what a fault is."""

import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import docker

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from tests.chaos.load import Load
from tests.harness import Stack
from tests.own_engine import OwnEngine

Found = TypeVar("Found")

# The first worker keeps sandboxes ready; the other starts one for each program.
OWN_SETTINGS = {"run-1": {"pool_size": "2", "pool_max": "3"}}
Repair = Callable[[], None]
Fault = Callable[["Scene"], Repair | None]


_menders = ThreadPoolExecutor()  # a thread for each mend that is under way


class NothingToBreakError(Exception):
    """The fault would have had no effect: it does not count."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that a fault may touch. `choose` is the storm's only source of chance."""

    stack: Stack
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    engine: docker.DockerClient  # where the sandboxes are
    daemon: OwnEngine | None  # the same, to be broken; None where it belongs to the machine
    load: Load
    choose: random.Random
    mends: dict[str, Future[None]] = field(default_factory=dict)  # under way, by what is mended

    @property
    def deployment(self) -> str:
        """The name on this storm's containers."""
        return self.stack.environment["AGENTCORE_DEPLOYMENT"]

    def start(self, name: str) -> None:
        """Start a process of the stack, with the settings that are its own."""
        self.stack.start(name, **OWN_SETTINGS.get(name, {}))

    @property
    def own_engine(self) -> OwnEngine:
        """The engine as what may be broken."""
        assert self.daemon is not None, "the machine's own engine is left alone"
        return self.daemon

    def mend(self, part: str, work: Repair) -> None:
        """Make good in the background what takes long, so that the storm goes on."""
        self.mends[part] = _menders.submit(work)

    def is_mended(self, part: str) -> bool:
        """Whether nothing is under way for the part. Raises what went wrong with it."""
        mend = self.mends.get(part)
        if mend is not None and mend.done():
            mend.result()
        return mend is None or mend.done()


def need(found: Found) -> Found:
    """Return what was found. Raises NothingToBreakError when it is nothing."""
    if not found:
        raise NothingToBreakError
    return found
