"""Which containers nobody uses any more, told by their labels."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from worker.sandbox import container


@dataclass(frozen=True, kw_only=True)
class Users:
    """Whom to ask who uses a container: this process first, then the database."""

    worker_id: str
    runs: Callable[[UUID, int], bool]  # whether this process runs the attempt
    keeps: Callable[[str], bool]  # whether it has the sandbox, started ahead, of this token
    is_held: Callable[[UUID, int], bool]  # whether any worker holds the attempt's lease
    is_alive: Callable[[str], bool]  # whether the worker of this id lives


def is_leftover(labels: dict[str, str], users: Users) -> bool:
    """Whether a container of this deployment is to be removed."""
    try:
        over = time.time() > float(labels[container.LABEL_DEADLINE])
        if container.LABEL_WARM in labels:
            return _is_unkept(labels, users, over)
        execution_id = UUID(labels[container.LABEL_EXECUTION])
        attempt = int(labels[container.LABEL_ATTEMPT])
    except (KeyError, ValueError):
        return False  # not made by this version; not ours to judge
    if users.runs(execution_id, attempt):
        return False  # its thread watches the time, on a clock that nobody sets
    return over or not users.is_held(execution_id, attempt)


def _is_unkept(labels: dict[str, str], users: Users, over: bool) -> bool:
    """Whether nobody keeps a sandbox that was started ahead, be it waiting or in use."""
    if users.keeps(labels[container.LABEL_WARM]):
        return False
    owner = labels[container.LABEL_WORKER]
    # Our own name, and unknown to us: of a process that had the name before.
    return over or owner == users.worker_id or not users.is_alive(owner)
