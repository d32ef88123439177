"""What a fault may touch, and what a fault is."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import docker

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from tests.chaos.load import Load
from tests.harness import Stack

Found = TypeVar("Found")
Repair = Callable[[], None]
Fault = Callable[["Scene"], Repair | None]


class NothingToBreakError(Exception):
    """The fault would have had no effect: it does not count."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that a fault may touch. `choose` is the storm's only source of chance."""

    stack: Stack
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    engine: docker.DockerClient
    load: Load
    choose: random.Random

    @property
    def deployment(self) -> str:
        """The name on this storm's containers."""
        return self.stack.environment["AGENTCORE_DEPLOYMENT"]


def need(found: Found) -> Found:
    """Return what was found. Raises NothingToBreakError when it is nothing."""
    if not found:
        raise NothingToBreakError
    return found
