"""The processes of this machine, as far as benchmarks look at them. Linux only."""

from contextlib import suppress
from pathlib import Path

DOCKER_PID = Path("/run/docker.pid")  # written by the engine


def members(pid: int, family: dict[int, int]) -> list[int]:
    """Return a process and all below it; `family` is what `parents` returned."""
    children = [child for child, parent in family.items() if parent == pid]
    return [pid, *(member for child in children for member in members(child, family))]


def parents() -> dict[int, int]:
    """Return the parent of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            found[int(path.parent.name)] = int(path.read_text().rpartition(") ")[2].split()[1])
    return found


def engine_processes() -> dict[str, int]:
    """Return the engine's own two processes; none where they cannot be told."""
    if not DOCKER_PID.exists():
        return {}
    found = {"engine": int(DOCKER_PID.read_text())}
    for pid, parent in parents().items():
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if parent == found["engine"] and name == "containerd":
                found["containerd"] = pid
    return found
