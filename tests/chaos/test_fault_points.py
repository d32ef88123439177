"""A worker dies at each step of an execution once: one outcome, one record of it, no container."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import SIGKILL
from subprocess import Popen
from typing import Any
from uuid import uuid4

import docker
import httpx
import pytest

from models.audit import USER_CODE_STARTED
from tests.chaos.checker import check, leftovers, not_kept, used_containers
from tests.chaos.witness import Witness, marked
from tests.harness import ROOT, Api, Stack, free_port, own_stack, wait_until
from tests.integration.facts import is_on_duty
from worker.fault_points import POINTS

SETTINGS = {"lease_seconds": "2", "heartbeat_seconds": "0.4", "sweep_seconds": "0.4",
            "resend_seconds": "0.5", "worker_slots": "1"}  # fmt: skip
POOL = {"pool_size": "1", "pool_max": "2"}
BEFORE = ("before_claim", "after_claim", "before_create", "after_create", "after_start",
          "before_release")  # fmt: skip
# A worker with a pool comes to these when it starts a sandbox ahead, too.
STARTING = ("after_create", "after_start")
# With files an outcome takes several statements, and a worker may die between them.
INSIDE = "inside_outcome"
# From here on the program counts as started, and a retry is the request's to allow.
AFTER = ("release_recorded", "after_release", "before_outcome", INSIDE)
RECORDED = "after_outcome"
PROGRAM = "import time; time.sleep(0.3); print('done')"
LEAVES_A_FILE = f"open('/workspace/output/left', 'w').close(); {PROGRAM}"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A stack of two workers, one of which may be doomed, and what watches it."""

    stack: Stack
    api: Api
    engine: docker.DockerClient
    witness: Witness
    accepted: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)  # of the doomed workers' metrics

    def submit(self, program: str, max_attempts: int) -> str:
        """Submit a program that the witness knows."""
        key = str(uuid4())
        command = marked(program, key)
        headers = {"Idempotency-Key": key}
        body = {"command": command, "max_attempts": max_attempts}
        answer = self.api.post("/v1/executions", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        self.accepted[answer.json()["id"]] = key
        return str(answer.json()["id"])


@pytest.fixture(scope="module")
def scene(
    engine: docker.DockerClient, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Each program gets a sandbox of its own."""
    with _scene(engine, sandbox_image, tmp_path_factory.mktemp("points"), SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def warm_scene(
    engine: docker.DockerClient, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Each program finds a sandbox that waits."""
    settings = SETTINGS | POOL
    with _scene(engine, sandbox_image, tmp_path_factory.mktemp("warm"), settings) as made:
        yield made


@contextmanager
def _scene(
    engine: docker.DockerClient, image: str, directory: Path, settings: dict[str, str]
) -> Iterator[Scene]:
    with own_stack(directory, image=image, **settings) as stack:
        deployment = stack.environment["AGENTCORE_DEPLOYMENT"]
        with Witness(engine, deployment) as witness:
            yield Scene(
                stack=stack, api=stack.client("points"), engine=engine, witness=witness,
                accepted={},
            )  # fmt: skip


def _kills(scene: Scene, points: Sequence[str], max_attempts: int) -> Iterator[dict[str, Any]]:
    """Kill a worker at each point in turn; yield the outcome of the execution that it was at."""
    names = [_start_doomed(scene, points[0])]
    for point, following in zip(points, [*points[1:], None], strict=True):
        name = names.pop()
        wait_until(partial(_is_ready, scene, name), 30, "the second worker")
        _marker(scene, point).unlink()
        program = LEAVES_A_FILE if point == INSIDE else PROGRAM
        victim = _kill_one(scene, scene.stack.processes[name], program, max_attempts)
        del scene.stack.processes[name]
        # It comes up while the other worker takes over: that takes a lease and a sweep.
        if following:
            names.append(_start_doomed(scene, following))
        execution = scene.api.outcome(victim, timeout=20)
        _judge(scene, point)
        yield execution


def _is_ready(scene: Scene, name: str) -> bool:
    """Whether a worker is on duty, and has its sandbox ready if it keeps any."""
    if not is_on_duty(scene.stack, name):
        return False
    told = httpx.get(f"http://127.0.0.1:{scene.ports[name]}/metrics").text
    kept = int(scene.stack.environment.get("AGENTCORE_POOL_SIZE", "0"))
    return f"agentcore_pool_waiting {kept}.0" in told


def _marker(scene: Scene, point: str) -> Path:
    return scene.stack.directory / f"{point}.marker"


def _start_doomed(scene: Scene, point: str) -> str:
    """Start a worker that will die at the point, once its marker is taken away."""
    name, marker = f"run-{point}", _marker(scene, point)
    marker.touch()
    scene.ports[name] = free_port()
    scene.stack.start(
        name,
        fault_point=point,
        fault_marker=str(marker),
        worker_metrics_port=str(scene.ports[name]),
    )
    return name


def _kill_one(scene: Scene, process: Popen[bytes], program: str, max_attempts: int) -> str:
    """Submit until the doomed worker gets one; return that execution once the worker is dead."""

    def is_over(execution_id: str) -> bool:
        ended = scene.api.get(f"/v1/executions/{execution_id}").json()["finished_at"]
        return process.poll() is not None or ended is not None

    # The other worker takes every second one or so: the next finds both of them idle.
    for _ in range(20):
        victim = scene.submit(program, max_attempts)
        wait_until(partial(is_over, victim), 20, "an end of either")
        if process.poll() is not None or _ran_on(scene, victim, process.pid):
            break
    assert process.wait(10) == -SIGKILL
    return victim


def _ran_on(scene: Scene, execution_id: str, pid: int) -> bool:
    trail = scene.api.events(execution_id)["items"]
    return any(str(item["data"].get("worker")).endswith(f":{pid}") for item in trail)


def _judge(scene: Scene, point: str) -> None:
    deployment, owner_url = scene.stack.environment["AGENTCORE_DEPLOYMENT"], scene.stack.owner_url

    def keepers() -> set[int]:
        return {process.pid for process in scene.stack.processes.values()}

    def over() -> bool:
        found = leftovers(scene.engine, deployment)
        return not not_kept(found, used_containers(owner_url), keepers())

    wait_until(over, 10, "the containers to be gone")
    found = check(owner_url, scene.engine, deployment, scene.accepted, scene.witness, keepers())
    assert found.holds, (point, found)


def _seen(scene: Scene, execution: dict[str, Any]) -> int:
    """Return how often the witness saw the execution's program start."""
    return scene.witness.programs[scene.accepted[execution["id"]]]


def _summary(execution: dict[str, Any]) -> tuple[str, str | None, int]:
    return execution["status"], execution["reason"], execution["attempt"]


def test_every_point_is_killed_at() -> None:
    assert {*BEFORE, *AFTER, RECORDED} == set(POINTS)


def test_a_worker_that_dies_before_user_code_costs_nothing(scene: Scene) -> None:
    for point, execution in zip(BEFORE, _kills(scene, BEFORE, max_attempts=1), strict=True):
        attempt = 1 if point == "before_claim" else 2
        assert _summary(execution) == ("succeeded", None, attempt), point
        assert execution["stdout"]["text"] == "done\n"
        assert _seen(scene, execution) == 1, point


def test_a_worker_that_dies_after_user_code_started_leaves_it_lost(scene: Scene) -> None:
    for point, execution in zip(AFTER, _kills(scene, AFTER, max_attempts=1), strict=True):
        assert _summary(execution) == ("lost", "worker_lost", 1), point
        # A sandbox whose worker dies ends its program: at after_release perhaps before it is seen.
        allowed = {"release_recorded": {0}, "after_release": {0, 1}}.get(point, {1})
        assert _seen(scene, execution) in allowed, point


def test_where_two_attempts_are_allowed_the_second_one_counts(scene: Scene) -> None:
    points = ("after_release", "before_outcome", INSIDE)
    for point, execution in zip(points, _kills(scene, points, max_attempts=2), strict=True):
        assert _summary(execution) == ("succeeded", None, 2), point
        assert execution["stdout"]["text"] == "done\n"
        left = ["left"] if point == INSIDE else []
        assert [item["path"] for item in execution["artifacts"]] == left
        assert _seen(scene, execution) in ({1, 2} if point == "after_release" else {2}), point


def test_a_worker_that_dies_once_the_outcome_is_recorded_changes_nothing(scene: Scene) -> None:
    (execution,) = _kills(scene, (RECORDED,), max_attempts=2)
    assert _summary(execution) == ("succeeded", None, 1)
    assert _seen(scene, execution) == 1


def _starts(scene: Scene, execution: dict[str, Any]) -> list[bool]:
    """Return of each recorded start whether it was in a sandbox that had waited."""
    trail = scene.api.events(execution["id"])["items"]
    starts = [item["data"] for item in trail if item["kind"] == USER_CODE_STARTED]
    return [facts["isolation"]["engine"]["warm"] for facts in starts]


def test_in_warm_sandboxes_a_dying_worker_costs_neither_more_nor_less(warm_scene: Scene) -> None:
    points = ("before_release", "before_outcome")
    first, second = _kills(warm_scene, points, max_attempts=1)
    assert (_summary(first), _summary(second)) == (
        ("succeeded", None, 2),
        ("lost", "worker_lost", 1),
    )
    assert _starts(warm_scene, second) == [True]


def test_in_warm_sandboxes_a_second_attempt_ends_the_first_and_counts(warm_scene: Scene) -> None:
    points = ("after_release", "after_outcome")
    first, second = _kills(warm_scene, points, max_attempts=2)
    assert (_summary(first), _summary(second)) == (
        ("succeeded", None, 2),
        ("succeeded", None, 1),
    )
    assert _starts(warm_scene, first)[0] is True
    assert _starts(warm_scene, second) == [True]


@pytest.mark.parametrize("point", STARTING)
def test_a_worker_that_dies_while_it_starts_a_sandbox_ahead_leaves_none(
    warm_scene: Scene, point: str
) -> None:
    warm_scene.stack.start("run-ahead", fault_point=point)
    assert warm_scene.stack.processes.pop("run-ahead").wait(30) == -SIGKILL
    _judge(warm_scene, point)


def _reach(point: str, **environment: str) -> int:
    """Return how a process ended that came to `before_claim`."""
    program = "from worker.fault_points import reach; reach('before_claim')"
    own = {"AGENTCORE_FAULT_POINT": point} | environment
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=own).returncode


def test_a_worker_dies_only_at_the_chosen_point_and_once_where_a_marker_is_named(
    tmp_path: Path,
) -> None:
    marker = str(tmp_path / "marker")
    assert _reach("after_claim") == 0
    assert _reach("") == 0
    assert _reach("before_claim") == _reach("before_claim") == -SIGKILL
    assert _reach("before_claim", AGENTCORE_FAULT_MARKER=marker) == -SIGKILL
    assert _reach("before_claim", AGENTCORE_FAULT_MARKER=marker) == 0
