"""Sandboxes that were started ahead of their jobs: as good as new ones, and used once."""

import copy
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import docker
import pytest
from prometheus_client import REGISTRY

from models.sandbox import Outcome
from models.status import Reason, Status
from tests.harness import wait_until
from tests.integration.backends import Own, container_of, own_backend, was_warm
from worker.sandbox.connection import Connection
from worker.sandbox.errors import (
    AbandonedError,
    ImageUnavailableError,
    SandboxCancelledError,
    SandboxVanishedError,
)

DEFAULT_MB, DEFAULT_PROCESSES = 256, 10  # of a request that names no limits
HOLD = "import time; print('here', flush=True); time.sleep(60)"


@pytest.fixture(scope="module")
def own(engine: docker.DockerClient, sandbox_image: str) -> Iterator[Own]:
    """A backend with a full pool of default sandboxes."""
    with own_backend(engine, sandbox_image) as made:
        made.warm_up()
        yield made


@pytest.fixture
def warm(own: Own) -> Own:
    """The same, full again, and nothing else running."""
    own.await_quiet()
    return own


@pytest.fixture(scope="module")
def cold(engine: docker.DockerClient, sandbox_image: str) -> Iterator[Own]:
    """A backend whose pool is off."""
    with own_backend(engine, sandbox_image, pool_max=0) as made:
        made.backend.warm_up([made.spec()])
        yield made


def _ended(outcome: Outcome) -> tuple[Status, Reason | None, bytes]:
    return outcome.status, outcome.reason, outcome.stdout.kept


def test_a_warm_sandbox_is_isolated_as_a_cold_one_is(warm: Own, cold: Own) -> None:
    told = {}
    for name, own in (("warm", warm), ("cold", cold)):
        outcome = own.run("print('ran')")
        assert _ended(outcome) == (Status.SUCCEEDED, None, b"ran\n")
        assert outcome.isolation is not None
        isolation = copy.deepcopy(outcome.isolation)
        assert isolation["engine"].pop("warm") is (name == "warm")
        assert isolation["engine"].pop("container")
        told[name] = isolation
    assert told["warm"] == told["cold"]
    assert told["warm"]["inside"]["cgroup"]["memory_limit"] == str(DEFAULT_MB * 2**20)


def test_the_isolation_is_that_of_the_moment_and_not_of_the_start(warm: Own) -> None:
    changed = warm.ids()
    for item in changed:
        # As by anybody else who may talk to the engine.
        warm.engine.api.update_container(item, mem_limit="512m", memswap_limit="512m")
    outcome = warm.run()
    assert outcome.status is Status.SUCCEEDED
    assert not any(item.startswith(container_of(outcome)) for item in changed)
    assert outcome.isolation is not None
    assert outcome.isolation["engine"]["memory_bytes"] == DEFAULT_MB * 2**20


LEAVE = """
import os, subprocess, sys
folders = ("/tmp", "/workspace", "/workspace/output", "/dev/shm")
print(*(sorted(set(os.listdir(each)) - {"main.py", "output"}) for each in folders), sep="\\n")
print(sorted(os.environ))
print([pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())])
for each in folders:
    open(f"{each}/left", "w").write("mine")
subprocess.Popen(["python3", "-c", "import time; time.sleep(100)"], start_new_session=True)
"""


def test_a_sandbox_is_used_once_and_nothing_of_a_job_is_seen_by_another(warm: Own) -> None:
    outcomes = []
    for number in range(4):
        warm.await_pool()
        outcomes.append(warm.run(LEAVE, environment={f"OF_{number}": "x"}))
    assert [was_warm(outcome) for outcome in outcomes] == [True] * 4
    assert len({container_of(outcome) for outcome in outcomes}) == 4
    for number, outcome in enumerate(outcomes):
        *listings, variables, processes = outcome.stdout.kept.decode().splitlines()
        assert (listings, processes) == (["[]"] * 4, "[]")
        assert [word for word in variables.split("'") if "OF_" in word] == [f"OF_{number}"]
    wait_until(
        lambda: not any(item["Id"][:12] in map(container_of, outcomes)
                        for item in warm.containers()), 20, "the removal of what was used",
    )  # fmt: skip


FORK = """
import os, time
children = 0
try:
    while children < 40:
        if os.fork() == 0:
            time.sleep(60)
        children += 1
except OSError:
    pass
print(children)
"""
ALLOCATE = "held = bytearray(%d * 2**20); print(len(held))"


@pytest.mark.parametrize(
    ("limits", "cgroup"),
    [
        ({"max_memory_mb": 64}, {"memory_limit": str(64 * 2**20)}),
        ({"max_memory_mb": 512}, {"memory_limit": str(512 * 2**20)}),
        ({"max_cpu_percent": 20}, {"cpu_quota": "20000"}),
        ({"max_cpu_percent": 100}, {"cpu_quota": "100000"}),
        ({"max_processes": 3}, {"pids_limit": "4"}),
        ({"max_processes": 30}, {"pids_limit": "31"}),
    ],
)
def test_other_limits_than_it_was_started_with_are_in_force(
    warm: Own, limits: dict[str, float], cgroup: dict[str, str]
) -> None:
    memory = limits.get("max_memory_mb", DEFAULT_MB)
    processes = limits.get("max_processes", DEFAULT_PROCESSES)
    outcomes = [
        warm.run(FORK, execution_limits=limits),
        warm.run(ALLOCATE % (memory // 2), execution_limits=limits),
    ]
    warm.await_pool()
    outcomes.append(warm.run(ALLOCATE % (memory + 8), execution_limits=limits))
    for outcome in outcomes:
        assert was_warm(outcome)
        assert outcome.isolation is not None
        inside = outcome.isolation["inside"]["cgroup"]
        # Of the second version the quota is told together with its period.
        assert {name: inside[name].split(" ")[0] for name in cgroup} == cgroup
        assert outcome.isolation["engine"]["memory_swap_bytes"] == memory * 2**20
    forked, held, too_much = outcomes
    assert forked.stdout.kept == b"%d\n" % (processes - 1)  # the program itself is one
    assert held.stdout.kept == b"%d\n" % (memory // 2 * 2**20)
    assert (too_much.status, too_much.reason) == (Status.FAILED, Reason.OOM_KILLED)


@pytest.mark.parametrize(
    "fields",
    [
        {"resource_limits": {"storage_quota_mb": 16}},
        {"execution_limits": {"max_file_descriptors": 20}},
        {"security_profile": "minimal"},
        {"security_profile": "privileged", "resource_limits": {"network_access": "none"}},
        {"security_options": {"blocked_syscalls": ["symlink", "symlinkat"]}},
        {"security_options": {"read_only_filesystem": False}},
        {"security_profile": "minimal", "security_options": {"allowed_capabilities": ["CHOWN"]}},
    ],
)
def test_what_cannot_be_changed_goes_cold_until_it_was_asked_for_often_enough(
    warm: Own, fields: dict[str, Any]
) -> None:
    first = warm.run(**fields)
    second = warm.run(**fields)
    # The pool is small: what is not asked for any more makes room.
    later = wait_until(lambda: _if_warm(warm.run(**fields)), 30, "a warm one")
    assert [was_warm(first), was_warm(second)] == [False, False]
    assert {outcome.status for outcome in (first, second, later)} == {Status.SUCCEEDED}
    assert first.isolation is not None
    assert later.isolation["asked"] == first.isolation["asked"]
    assert later.isolation["inside"] == first.isolation["inside"]


def _if_warm(outcome: Outcome) -> Outcome | None:
    return outcome if was_warm(outcome) else None


def _kill(engine: docker.DockerClient, container_id: str) -> None:
    engine.api.kill(container_id)


def _stop_at_once(engine: docker.DockerClient, container_id: str) -> None:
    engine.api.stop(container_id, timeout=0)


def _pause(engine: docker.DockerClient, container_id: str) -> None:
    engine.api.pause(container_id)


def _remove(engine: docker.DockerClient, container_id: str) -> None:
    engine.api.remove_container(container_id, force=True)


@pytest.mark.parametrize("harm", [_kill, _stop_at_once, _pause, _remove])
def test_a_job_succeeds_whatever_became_of_those_that_waited(
    warm: Own, harm: Callable[[docker.DockerClient, str], None]
) -> None:
    waiting = warm.ids()
    for container_id in waiting:
        harm(warm.engine, container_id)
    outcome = warm.run("print('ran')")
    assert _ended(outcome) == (Status.SUCCEEDED, None, b"ran\n")
    assert not any(item.startswith(container_of(outcome)) for item in waiting)
    # Of one that is paused nobody knows until it is asked.
    wait_until(lambda: was_warm(warm.run()), 30, "a whole one")
    wait_until(lambda: not waiting & warm.ids(), 30, "the removal of the broken ones")


def test_those_that_give_up_just_as_they_are_taken_cost_their_job_nothing(
    warm: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "has_news", lambda _: False)
    waiting = warm.ids()
    for shelf in warm.backend._pool._stock._shelves.values():
        for sandbox in shelf.waiting:
            sandbox.connection._socket.shutdown(socket.SHUT_WR)
    wait_until(lambda: {item["State"] for item in warm.containers()} == {"exited"}, 20, "the ends")
    outcome = warm.run("print('ran')")
    assert _ended(outcome) == (Status.SUCCEEDED, None, b"ran\n")
    assert not any(item.startswith(container_of(outcome)) for item in waiting)


def test_a_cancel_and_a_time_limit_end_a_warm_run_and_its_container(warm: Own) -> None:
    limit = {"execution_limits": {"max_execution_time_seconds": 0.3}}
    outcome = warm.run(HOLD, **limit)
    assert was_warm(outcome)
    assert _ended(outcome) == (Status.TIMED_OUT, Reason.TIME_LIMIT, b"here\n")
    assert not any(item["Id"].startswith(container_of(outcome)) for item in warm.containers())
    warm.await_pool()
    spec = warm.spec(HOLD)
    outcome = warm.backend.run(spec, lambda _: _later(warm.backend.cancel, spec.execution_id))
    assert was_warm(outcome)
    assert (outcome.status, outcome.reason) == (Status.CANCELLED, Reason.CANCEL_REQUESTED)
    assert not any(item["Id"].startswith(container_of(outcome)) for item in warm.containers())


def _later(work: Callable[..., Any], *arguments: Any) -> None:
    threading.Timer(0.2, work, arguments).start()


def test_a_cancel_before_user_code_and_a_lost_lease_end_it_too(warm: Own) -> None:
    spec = warm.spec(HOLD)

    def refuse(_isolation: dict[str, Any]) -> None:
        raise SandboxCancelledError

    with pytest.raises(SandboxCancelledError):
        warm.backend.run(spec, refuse)
    warm.await_pool()
    spec = warm.spec(HOLD)
    with pytest.raises(AbandonedError):
        warm.backend.run(spec, lambda _: _later(warm.backend.abandon, spec.execution_id, 1))
    warm.await_quiet()


def test_a_second_attempt_ends_the_first_ones_warm_sandbox_before_it_runs(
    warm: Own, engine: docker.DockerClient, sandbox_image: str
) -> None:
    first = warm.spec(HOLD, max_attempts=2)
    runs, told = threading.Event(), {}

    def before(isolation: dict[str, Any]) -> None:
        told.update(isolation["engine"])
        runs.set()

    with (
        ThreadPoolExecutor(1) as thread,
        # Another worker of this host, to which the lease went.
        own_backend(engine, sandbox_image, deployment=warm.settings.deployment) as other,
    ):
        running = thread.submit(warm.backend.run, first, before)
        other.warm_up()
        assert runs.wait(20)
        assert told["warm"] is True
        second = other.spec("print('second')", attempt=2, of=first.execution_id, max_attempts=2)
        seen: list[bool] = []
        outcome = other.backend.run(second, lambda _: seen.append(_is_there(warm, told)))
        assert seen == [False]
        with pytest.raises(SandboxVanishedError):
            running.result(20)
    assert was_warm(outcome)
    assert _ended(outcome) == (Status.SUCCEEDED, None, b"second\n")


def _is_there(own: Own, told: dict[str, Any]) -> bool:
    return any(container_id.startswith(told["container"]) for container_id in own.ids())


def test_prometheus_tells_size_hits_misses_and_waits(
    engine: docker.DockerClient, sandbox_image: str
) -> None:
    def told(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0

    def counts() -> list[float]:
        return [
            told(name, start=start)
            for name in ("agentcore_pool_sandboxes_total", "agentcore_sandbox_ready_seconds_count")
            for start in ("warm", "cold")
        ]

    with own_backend(engine, sandbox_image, pool_size=2) as own:
        before = counts()
        own.warm_up()
        assert (told("agentcore_pool_waiting"), told("agentcore_pool_target")) == (2, 2)
        own.run()
        own.run(resource_limits={"storage_quota_mb": 32})
        assert [now - then for now, then in zip(counts(), before, strict=True)] == [1, 1, 1, 1]
    assert told("agentcore_pool_waiting") == 0


@pytest.fixture
def tag(engine: docker.DockerClient, sandbox_image: str) -> Iterator[str]:
    """A name of the sandbox image that a test may point elsewhere."""
    name = f"agentcore/test-{secrets.token_hex(4)}:now"
    engine.images.get(sandbox_image).tag(name)
    yield name
    with suppress(docker.errors.ImageNotFound):
        engine.images.remove(name)


def _rebuilt(engine: docker.DockerClient, name: str) -> str:
    """Let the name stand for another image, which is as good; return that one's id."""
    container = engine.containers.create(name)
    repository, _, word = name.partition(":")
    image: str = container.commit(repository, word, message="rebuilt").id
    container.remove()
    return image


def test_a_rebuilt_image_is_what_runs_next_and_a_removed_one_runs_no_more(
    engine: docker.DockerClient, tag: str
) -> None:
    with own_backend(engine, tag) as own:
        own.warm_up()
        old = own.ids()
        image = _rebuilt(engine, tag)
        wait_until(lambda: not old & own.ids(), 30, "the end of what has the old image")
        own.await_pool()
        outcome = own.run("print('ran')")
        assert was_warm(outcome)
        assert outcome.isolation is not None
        assert outcome.isolation["engine"]["image"] == image
        # As `docker rmi -f` does; what uses it goes on.
        engine.images.remove(tag, force=True)
        wait_until(lambda: not own.ids(), 30, "the end of what has no image")
        with pytest.raises(ImageUnavailableError):
            own.run()
    engine.images.remove(image)  # which is nameless by now


def test_what_has_waited_too_long_is_replaced(
    engine: docker.DockerClient, sandbox_image: str
) -> None:
    with own_backend(engine, sandbox_image, pool_max_age_seconds=2) as own:
        own.warm_up()
        old = own.ids()
        wait_until(lambda: not old & own.ids(), 30, "the end of the old ones")
        assert own.run().status is Status.SUCCEEDED
