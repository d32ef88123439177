"""A real dockerd that restarts, dies or hangs under running programs, the test's own."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import httpx
import pytest

from tests.chaos.witness import Witness, marked
from tests.harness import Api, Stack, missing, wait_until
from tests.integration.facts import bare_stack, column, containers
from tests.own_engine import NoEngineError, OwnEngine, own_engine

ENGINE_TIMEOUT = 3  # seconds, the setting of these tests
SLOTS = 2
LONG = {"execution_limits": {"max_execution_time_seconds": 60}}
STOPPING = 10  # seconds that dockerd gives a container which ignores SIGTERM, as process 1 does


@pytest.fixture(scope="module")
def dockerd(
    engine: docker.DockerClient, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnEngine]:
    """An engine that may be killed."""
    try:
        with own_engine(tmp_path_factory.mktemp("engine"), engine, sandbox_image) as made:
            yield made
    except NoEngineError as error:
        missing(str(error))


@pytest.fixture(scope="module")
def on_it(
    dockerd: OwnEngine, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack whose worker uses that engine."""
    settings = {"docker_timeout_seconds": str(ENGINE_TIMEOUT), "worker_slots": str(SLOTS),
                "resend_seconds": "4"}  # fmt: skip
    with bare_stack(tmp_path_factory.mktemp("stack"), sandbox_image, **settings) as (stack, _):
        stack.environment["DOCKER_HOST"] = dockerd.url
        stack.start("api", "run", "control", "beat")
        stack.wait_ready()
        yield stack


@pytest.fixture
def witness(dockerd: OwnEngine, on_it: Stack) -> Iterator[Witness]:
    """Sees programs start."""
    with Witness(dockerd.client, on_it.environment["AGENTCORE_DEPLOYMENT"]) as watching:
        yield watching


@pytest.fixture
def api(on_it: Stack, dockerd: OwnEngine) -> Iterator[Api]:
    """A tenant's client; afterwards all works again in the same worker, and nothing is left."""
    on_it.wait_ready()
    with on_it.client("restarts") as client:
        yield client
        on_it.wait_ready()
        assert client.run("print('again')")["stdout"]["text"] == "again\n"
    wait_until(lambda: not containers(dockerd.client, on_it), 30, "the leftovers to be swept")
    wait_until(lambda: not dockerd.in_containers(), 10, "the sandboxes' processes to end")


def _started(api: Api, witness: Witness, program: str, **fields: Any) -> tuple[str, str]:
    """Submit, and wait until the program runs; return the execution's id and the program's key."""
    key = str(uuid4())
    execution_id: str = api.submit(command=marked(program, key), **(LONG | fields))["id"]
    wait_until(lambda: witness.programs[key], 30, "the program's start")
    return execution_id, key


def _terminated(engine: OwnEngine) -> None:
    engine.terminate()
    engine.stopped()


def _killed(engine: OwnEngine) -> None:
    engine.kill()


@pytest.mark.parametrize(("fault", "seconds"), [(_terminated, STOPPING), (_killed, 0)])
def test_what_runs_when_dockerd_restarts_is_told_or_repeated_and_what_waits_runs(
    on_it: Stack,
    dockerd: OwnEngine,
    api: Api,
    witness: Witness,
    fault: Callable[[OwnEngine], None],
    seconds: float,
) -> None:
    end = time.time() + seconds + 7  # by then the first attempts are over
    program = f"import time; time.sleep(max(0, {end} - time.time())); print('done')"
    once, once_key = _started(api, witness, program)
    twice, _ = _started(api, witness, program, max_attempts=2)
    queued = [api.submit("print('queued')")["id"] for _ in range(SLOTS)]
    assert {api.get(f"/v1/executions/{item}").json()["status"] for item in queued} == {"queued"}

    fault(dockerd)
    dockerd.start()

    lost = api.outcome(once, timeout=20)
    # dockerd may end the container before it ends the connection.
    assert lost["status"] in ("lost", "failed")
    assert (lost["reason"], lost["attempt"]) == ("sandbox_error", 1)
    retried = api.outcome(twice, timeout=30)
    assert (retried["status"], retried["stdout"]["text"]) == ("succeeded", "done\n")
    assert column(on_it, "user_starts", twice) == 2
    assert witness.programs[once_key] == 1
    again = twice, retried["attempt"]
    wait_until(lambda: witness.containers[again] == 1, 5, "the witness of the second start")
    for item in queued:
        assert api.outcome(item)["stdout"]["text"] == "queued\n"
        assert column(on_it, "user_starts", item) == 1


def test_a_dockerd_that_hangs_keeps_no_program_from_its_end_and_what_waits_runs_later(
    on_it: Stack, dockerd: OwnEngine, api: Api, witness: Witness
) -> None:
    limits = {"max_execution_time_seconds": 4}
    running, key = _started(api, witness, "import time; time.sleep(50)", execution_limits=limits)
    dockerd.hang()
    try:
        waiting = api.submit("print('late')")["id"]
        execution = api.outcome(running, timeout=4 + 2 * ENGINE_TIMEOUT + 5)
        assert (execution["status"], execution["attempt"]) == ("timed_out", 1)
        wait_until(partial(_is_told_unready, on_it), 20, "readiness to tell")
    finally:
        dockerd.resume()
    assert api.outcome(waiting)["stdout"]["text"] == "late\n"
    assert column(on_it, "user_starts", waiting) == 1
    assert witness.programs[key] == 1


def _is_told_unready(stack: Stack) -> bool:
    answer = httpx.get(f"{stack.url}/health/ready", timeout=20)
    return answer.status_code == 503 and "does not answer" in answer.json()["workers"]


def test_a_killed_engine_leaves_nothing_behind_once_it_is_closed(
    engine: docker.DockerClient, sandbox_image: str, tmp_path: Path
) -> None:
    try:
        with own_engine(tmp_path, engine, sandbox_image) as made:
            reads = ["python3", "-c", "import sys; sys.stdin.read()"]
            made.client.containers.run(
                sandbox_image, entrypoint=reads, stdin_open=True, detach=True, network_mode="none"
            )
            assert made.in_containers()
            made.kill()
    except NoEngineError as error:
        missing(str(error))
    assert not made.processes()
    assert not made.directory.exists()
    assert str(made.directory) not in Path("/proc/mounts").read_text()
