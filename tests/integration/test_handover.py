"""A program that ends by itself just as its worker's drain is over: recorded once, or handed on.

The engine's words are held back by a proxy, and the record by a lock, so that both sides of the
moment are met for certain; the last test aims at the moment itself.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import docker
import psycopg
import pytest

from tests.harness import Api, Stack, wait_until
from tests.integration.engine_proxy import EngineProxy
from tests.integration.facts import ask, bare_stack, column, containers, start_worker

LIMITS = {"execution_limits": {"max_execution_time_seconds": 120}}
TOLD = signal.SIGUSR1  # what the program waits for, so that it ends when the test wants it to
ENDS = f"""
import os, signal, sys
signal.signal({TOLD:d}, lambda *_: sys.exit(print('done')))
os.write(1, f'here {{os.environ["AGENTCORE_EXECUTION_ID"]}}\\n'.encode())  # in one piece
while True: signal.pause()
"""
EXIT_TIMEOUT = 25  # seconds for a worker to end once nothing holds it
# What an execution may go through once it was queued.
AT_ONCE, LOST = ["running", "succeeded"], ["running", "lost"]
REPEATED = ["running", "queued", "running", "succeeded"]


@pytest.fixture(scope="module")
def stack(
    proxy: EngineProxy, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack without workers, whose leases outlast each test's patience."""
    directory = tmp_path_factory.mktemp("handover")
    settings = {"lease_seconds": "60", "drain_seconds": "1"}
    with bare_stack(directory, sandbox_image, **settings) as (made, _):
        made.environment["DOCKER_HOST"] = proxy.url
        made.start("api", "control", "beat")
        start_worker(made, "run-first")
        made.wait_ready()
        made.stop("run-first")
        yield made


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Api:
    """A tenant's client."""
    return stack.client("handover")


@pytest.fixture(autouse=True)
def _nothing_is_left(
    stack: Stack, proxy: EngineProxy, engine: docker.DockerClient
) -> Iterator[None]:
    yield
    proxy.resume()
    for name in [name for name in stack.processes if name.startswith("run-")]:
        stack.stop(name)
    wait_until(lambda: not containers(engine, stack), 30, "the containers to be gone")


def _drain(stack: Stack, name: str) -> None:
    """Tell a worker to stop, and wait until it hands over what still runs."""
    stack.processes[name].terminate()
    wait_until(lambda: "drain_over" in _log(stack, name), 20, "the end of the drain")


def _log(stack: Stack, name: str) -> str:
    return (stack.directory / f"{name}.log").read_text()


def _ended(stack: Stack, name: str) -> int:
    return stack.processes.pop(name).wait(EXIT_TIMEOUT)


def _statuses(api: Api, execution_id: str) -> list[str]:
    """Return every status that the execution has had since it was queued, by the audit trail."""
    trail = api.events(execution_id)
    assert trail["intact"] is True
    return [item["data"]["to"] for item in trail["items"] if item["kind"] == "status_changed"]


def _end_unheard(
    stack: Stack, proxy: EngineProxy, engine: docker.DockerClient, *execution_ids: str
) -> None:
    """Let the programs end by themselves, and keep from their worker that they did."""
    for item in execution_ids:
        wait_until(partial(proxy.passed, f"here {item}\n"), 30, "the first line")
    proxy.stall()
    for item in execution_ids:
        _tell(engine, stack, item)
        wait_until(partial(_is_over, engine, stack, item), 20, "the program's end")


def _waiting_program(engine: docker.DockerClient, stack: Stack, execution_id: str) -> int | None:
    """Return the number that the program has on this host, once it waits for its signal."""
    with contextlib.suppress(docker.errors.APIError, OSError):  # just started, or just ended
        for container in containers(engine, stack, execution_id):
            if container["State"] == "running":
                listed = engine.api.top(container["Id"])
                pids = [int(row[listed["Titles"].index("PID")]) for row in listed["Processes"]]
                return next((pid for pid in pids if _caught(pid) & 1 << TOLD - 1), None)
    return None


def _caught(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)


def _tell(engine: docker.DockerClient, stack: Stack, execution_id: str) -> None:
    """Let a program end by itself."""
    pid = wait_until(lambda: _waiting_program(engine, stack, execution_id), 30, "the program")
    os.kill(pid, TOLD)


def _is_over(engine: docker.DockerClient, stack: Stack, execution_id: str) -> bool:
    """Whether the supervisor is alone in the sandbox: it has reported, and waits to be let go."""
    (sandbox,) = containers(engine, stack, execution_id)
    return len(engine.api.top(sandbox["Id"])["Processes"]) == 1


@contextmanager
def _record_held(stack: Stack, execution_id: str) -> Iterator[int]:
    """Let a row be claimed and renewed, but no outcome with files be recorded; yields the holder.

    That one locks the row before it writes; another would wait for a claim's lock, too.
    """
    with psycopg.connect(stack.owner_url) as connection:
        connection.execute("SELECT 1 FROM executions WHERE id = %s FOR KEY SHARE", (execution_id,))
        yield connection.info.backend_pid


def test_an_outcome_that_is_being_recorded_as_the_drain_ends_is_the_outcome(
    stack: Stack, tenant: Api, engine: docker.DockerClient
) -> None:
    leaving = "open('/workspace/output/left', 'w').close(); print('done')"
    ending = tenant.submit(leaving, max_attempts=2, **LIMITS)["id"]
    with _record_held(stack, ending) as holder:
        start_worker(stack, "run-a")
        waits = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
        wait_until(lambda: ask(stack, waits, holder)[0], 30, "the record to wait for the row")
        _drain(stack, "run-a")
        assert column(stack, "status", ending) == "running"
    assert _ended(stack, "run-a") == 0
    execution = tenant.outcome(ending, timeout=1)
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "done\n")
    assert _statuses(tenant, ending) == AT_ONCE
    assert containers(engine, stack) == []


def test_an_end_that_is_heard_of_after_the_hand_over_is_the_outcome(
    stack: Stack, proxy: EngineProxy, tenant: Api, engine: docker.DockerClient
) -> None:
    # Patient with the report of a program that it has asked to end.
    start_worker(stack, "run-b", kill_grace_seconds="20")
    ending = tenant.submit(ENDS, max_attempts=2, **LIMITS)["id"]
    _end_unheard(stack, proxy, engine, ending)
    _drain(stack, "run-b")
    assert column(stack, "status", ending) == "running"
    proxy.resume()
    assert _ended(stack, "run-b") == 0
    execution = tenant.outcome(ending, timeout=1)
    assert (execution["status"], execution["exit_code"]) == ("succeeded", 0)
    assert execution["stdout"]["text"] == f"here {ending}\ndone\n"
    assert _statuses(tenant, ending) == AT_ONCE
    assert column(stack, "user_starts", ending) == 1


def test_an_end_that_is_not_heard_of_is_lost_or_handed_back_and_changes_nothing_later(
    stack: Stack, proxy: EngineProxy, tenant: Api, engine: docker.DockerClient
) -> None:
    # It gives up the removal of its containers while it still may.
    start_worker(stack, "run-c", docker_timeout_seconds="5")
    once = tenant.submit(ENDS, **LIMITS)["id"]
    twice = tenant.submit(ENDS, max_attempts=2, **LIMITS)["id"]
    _end_unheard(stack, proxy, engine, once, twice)
    _drain(stack, "run-c")
    assert _ended(stack, "run-c") == 0
    assert _statuses(tenant, once) == LOST
    assert _statuses(tenant, twice) == REPEATED[:2]
    # What the engine had to say arrives, and finds nobody.
    proxy.resume()
    start_worker(stack, "run-d")
    _tell(engine, stack, twice)
    retried = tenant.outcome(twice)
    assert (retried["status"], retried["attempt"]) == ("succeeded", 2)
    assert retried["stdout"]["text"] == f"here {twice}\ndone\n"
    assert _statuses(tenant, twice) == REPEATED
    lost = tenant.outcome(once, timeout=1)
    assert (lost["reason"], lost["attempt"]) == ("worker_lost", 1)
    assert _statuses(tenant, once) == LOST


def test_ends_about_the_end_of_the_drain_are_each_recorded_once(stack: Stack, tenant: Api) -> None:
    drain, apart, ahead = 1, 0.15, 8  # seconds
    start_worker(stack, "run-e", drain_seconds=str(drain), worker_slots="8")
    # The drain is to be over when half of them have ended.
    middle = time.time() + ahead
    accepted: list[tuple[str, int]] = []
    for number in range(8):
        end, attempts = middle + (number - 4) * apart, 1 + number % 2
        source = f"import time; time.sleep(max(0, {end} - time.time()))"
        accepted.append((tenant.submit(source, max_attempts=attempts, **LIMITS)["id"], attempts))
    wait_until(lambda: time.time() >= middle - drain, ahead, "the moment")
    stack.processes["run-e"].terminate()
    assert _ended(stack, "run-e") == 0
    assert "running" not in {column(stack, "status", item) for item, _ in accepted}
    start_worker(stack, "run-f")
    for item, attempts in accepted:
        ended, history = tenant.outcome(item)["status"], _statuses(tenant, item)
        assert history in (AT_ONCE, REPEATED, LOST)
        assert history[-1] == ended
        assert attempts == 1 or ended == "succeeded"
        # What a slow machine had not started by then is repeated at no cost.
        assert 1 <= column(stack, "user_starts", item) <= attempts
