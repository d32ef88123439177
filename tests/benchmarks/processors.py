"""Who uses the processors while executions are kept up: the profile behind the sustained rate."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.deployment import Deployment
from tests.benchmarks.load import LEAD_IN
from tests.benchmarks.machine import engine_processes, members, parents
from tests.benchmarks.rows import Row, measured, unmeasured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import COLD, SDK, WARM, Subjects, cold, warm

EXECUTIONS, QUICK_EXECUTIONS = 64, 8
IN_FLIGHT = 8
TICKS = os.sysconf("SC_CLK_TCK")  # a second
OWN = 11  # fields of /proc/PID/stat after the state: user, system, and those of reaped children
BUSY = (0, 1, 2, 5, 6)  # fields of the first line of /proc/stat: user, nice, system, interrupts
REST = "everything else: runc, shims, sandboxes, kernel"


def rows(scene: Scene, subjects: Subjects) -> list[Row]:
    """Measure processor milliseconds for one execution, by process; some tens of seconds."""
    found: list[Row] = []
    owners: dict[str, Callable[[], Deployment] | None] = {
        WARM: lambda: warm(scene),
        COLD: lambda: cold(scene),
        SDK: None,
    }
    drivers = subjects.choose(*owners)
    for name, owner in owners.items():
        if name not in drivers:
            found.append(unmeasured(name, "CPU ms", subjects.refusals[name]))
            continue
        scene.tell(f"{IN_FLIGHT} in flight, {name}", at_once=True)
        drivers[name].run(LEAD_IN, IN_FLIGHT)
        # Only now: the servers have started what serves so many at once.
        processes = {"the client": [drivers[name].pid]} | _processes(scene, owner and owner())
        count = scene.choose(EXECUTIONS, QUICK_EXECUTIONS)
        before, busy = {key: _used(pids) for key, pids in processes.items()}, _busy()
        drivers[name].run(count, IN_FLIGHT)
        took = {key: _used(pids) - before[key] for key, pids in processes.items()}
        whole = _busy() - busy
        took[REST] = whole - sum(took.values())
        whole_name = f"{name}: all"
        samples = {f"{name}: {key}": [used * 1000 / count] for key, used in took.items()}
        note = {whole_name: f"of {count} executions, {IN_FLIGHT} in flight"}
        found += measured(
            "CPU ms", samples | {whole_name: [whole * 1000 / count]}, whole_name, notes=note
        )
    return found


def _processes(scene: Scene, deployment: Deployment | None) -> dict[str, list[int]]:
    """Return the processes that take part, by what they are."""
    found = {name: [pid] for name, pid in engine_processes().items()}
    if deployment is None:
        return found
    names = {"api": "the API", "run": "the worker"}
    family = parents()
    for name, process in deployment.processes.items():
        shown = names.get(name, "control and beat")
        found.setdefault(shown, []).extend(members(process.pid, family))
    for name, part in (("PostgreSQL", scene.services.postgres), ("Valkey", scene.services.valkey)):
        handle = part.handle() if part is not None else None
        if handle is not None:
            found[name] = members(handle.pid, family)
    return found


def _used(pids: list[int]) -> float:
    """Return the processor seconds that processes have used, and their ended children."""
    return sum(_used_by(pid) for pid in pids)


def _used_by(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0  # it has ended; its parent counts it
    return sum(int(field) for field in fields[OWN : OWN + 4]) / TICKS


def _busy() -> float:
    """Return the processor seconds that the machine has used."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(int(fields[number]) for number in BUSY) / TICKS
