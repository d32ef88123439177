"""What sandboxes take of the host's memory: theirs, their shims', and that of who runs them."""

import re
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
DOCKER_PID = Path("/run/docker.pid")  # written by the engine
MIB = 1_048_576


def charged(pid: int) -> float:
    """Return the MiB charged to a process's memory cgroup, of either version."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return int((CGROUPS / f"memory{path}" / "memory.usage_in_bytes").read_text()) / MIB
        current = CGROUPS / path.lstrip("/") / "memory.current"
        if controllers == "" and current.exists():
            return int(current.read_text()) / MIB
    raise RuntimeError(f"process {pid} has no memory cgroup")


def pss(pid: int) -> float:
    """Return the MiB that a process takes, its part of what is shared included."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def parent(pid: int) -> int:
    """Return the parent's id: of a container's first process, its shim."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for path in lists for word in path.read_text().split()]


def engine_processes() -> list[int]:
    """Return the engine and its containerd; nothing where they cannot be told."""
    if not DOCKER_PID.exists():
        return []
    engine = int(DOCKER_PID.read_text())
    found = [engine]
    for pid in children(engine):
        with suppress(OSError):  # it ended meanwhile
            if Path(f"/proc/{pid}/comm").read_text().strip() == "containerd":
                found.append(pid)
    return found
