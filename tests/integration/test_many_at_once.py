"""One worker process holds as many sandboxes as it has slots: all at once, none late, each small.

`MANY_AT_ONCE=200 pytest -s …` tries as many as one wants, and prints the figures.
"""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import psycopg
import pytest

from tests.harness import Api, Stack, wait_until
from tests.host_memory import charged, children, engine_processes, parent, pss
from tests.integration.facts import bare_stack, containers, start_worker

MANY = int(os.environ.get("MANY_AT_ONCE", "30"))
START_SECONDS = 60 + 2 * MANY  # for all to run, on a machine that is busy with other tests
END_SECONDS = 60 + MANY
TEST_TIMEOUT = 120 + START_SECONDS + 2 * END_SECONDS
SANDBOX_MIB = 50  # of the host's memory, as promised
# Seconds between the ends that programs ask for. A machine of two cores removes so many.
STEP = 0.15
# Seconds from a program's end to its outcome. It takes a tenth of one; what waits for all others
# to end, or for a timeout of ours, takes longer than this.
LATE = 15
TOLD = signal.SIGUSR1
# Waits until it is told, so that all run at once however long their starts take; then it sleeps.
PROGRAM = f"""
import signal, sys, time
def told(*_):
    time.sleep(float(sys.argv[1]))
    sys.exit(print("done"))
signal.signal({TOLD:d}, told)
while True: signal.pause()
"""
LIMITS = {"execution_limits": {"max_execution_time_seconds": 800}}
TIMES = """
SELECT id::text, EXTRACT(EPOCH FROM created_at), EXTRACT(EPOCH FROM started_at),
    EXTRACT(EPOCH FROM finished_at)
FROM executions WHERE started_at IS NOT NULL
"""


@pytest.fixture
def stack(sandbox_image: str, tmp_path: Path) -> Iterator[Stack]:
    """One worker with a slot for each program, which is started by the test."""
    settings = {"worker_slots": str(MANY), "tenant_max_running": str(MANY), "pool_max": "0",
                "lease_seconds": "30", "heartbeat_seconds": "3", "sweep_seconds": "5",
                "resend_seconds": "15"}  # fmt: skip
    with bare_stack(tmp_path, sandbox_image, **settings) as (made, _):
        made.start("api", "control", "beat")
        start_worker(made, "run")
        made.wait_ready()
        yield made


def _times(stack: Stack) -> dict[str, tuple[float, float, float]]:
    """Return when each execution was accepted, started and, if it has, ended: the database's."""
    with psycopg.connect(stack.owner_url) as connection:
        rows = connection.execute(TIMES).fetchall()
    return {row[0]: tuple(float(value or 0) for value in row[1:]) for row in rows}  # type: ignore[misc]


def _waits(supervisor: int) -> int | None:
    """Return the number that a supervisor's program has on this host, once it can be told."""
    with suppress(OSError):  # it has only just been forked
        for pid in children(supervisor):
            status = Path(f"/proc/{pid}/status").read_text()
            if int(status.partition("SigCgt:")[2].split()[0], 16) & 1 << TOLD - 1:
                return pid
    return None


def _supervisors(engine: docker.DockerClient, stack: Stack) -> dict[str, int]:
    """Return the first process of each container, by execution."""
    found = {}
    for item in containers(engine, stack):
        state: dict[str, Any] = engine.api.inspect_container(item["Id"])["State"]
        found[item["Labels"]["dev.agentcore.execution"]] = state["Pid"]
    return found


def _submit_all(api: Api) -> dict[str, float]:
    """Submit the programs; return for how many seconds each will sleep once it is told."""
    sleeps = [1 + STEP * number for number in range(MANY)]

    def submit(seconds: float) -> str:
        return str(api.submit(PROGRAM, args=[str(seconds)], **LIMITS)["id"])

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(threads.map(submit, sleeps), sleeps, strict=True))


@pytest.mark.timeout(TEST_TIMEOUT)
def test_as_many_programs_as_slots_run_at_once_and_none_ends_late_or_takes_much_memory(
    stack: Stack, engine: docker.DockerClient
) -> None:
    worker = stack.processes["run"].pid
    shared = [worker, *engine_processes()]
    before = {pid: pss(pid) for pid in shared}
    api = stack.client("many")
    sleeps = _submit_all(api)
    wait_until(lambda: len(_times(stack)) == MANY, START_SECONDS, f"the start of {MANY} programs")
    assert not any(ended for _, _, ended in _times(stack).values())  # so they all run now

    supervisors = _supervisors(engine, stack)
    assert supervisors.keys() == sleeps.keys()
    programs = {
        item: wait_until(lambda pid=pid: _waits(pid), 30, "a program that waits")
        for item, pid in supervisors.items()
    }
    each = [charged(pid) + pss(parent(pid)) for pid in supervisors.values()]
    grown = [(pss(pid) - before[pid]) / MANY for pid in shared]
    print(f"\nMiB each: {max(each):.1f} of its own, and grown: {[f'{one:.2f}' for one in grown]}")
    assert max(each) + sum(max(0, one) for one in grown) < SANDBOX_MIB

    due = {}
    for item, pid in programs.items():
        due[item] = time.time() + sleeps[item]  # this host's clock is the database's, too
        os.kill(pid, TOLD)
    for item in sleeps:
        execution = api.outcome(item, END_SECONDS)
        assert (execution["status"], execution["attempt"]) == ("succeeded", 1), execution
        assert execution["stdout"]["text"] == "done\n"
    times = _times(stack)
    late = [ended - due[item] for item, (_, _, ended) in times.items()]
    started = [start for _, start, _ in times.values()]
    print(f"started within {max(started) - min(at for at, _, _ in times.values()):.1f} s; "
          f"outcome after its end: median {statistics.median(late):.2f} s, "
          f"longest {max(late):.2f} s")  # fmt: skip
    assert max(started) < min(ended for _, _, ended in times.values())
    assert min(late) > 0
    assert max(late) < LATE
    wait_until(lambda: not containers(engine, stack), 30, "the containers to be gone")
