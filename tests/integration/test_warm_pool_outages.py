"""Waiting sandboxes of an engine that hangs or dies; the engine is the tests' own."""

from collections.abc import Iterator

import docker
import pytest

from models.status import Status
from tests.harness import missing, wait_until
from tests.integration.backends import Own, container_of, own_backend, was_warm
from tests.own_engine import NoEngineError, OwnEngine, own_engine
from worker.sandbox.errors import EngineUnavailableError

ENGINE_TIMEOUT = 2  # seconds, the setting of these tests


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


@pytest.fixture
def own(dockerd: OwnEngine, sandbox_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Own]:
    """A backend on it with three sandboxes that wait."""
    monkeypatch.setenv("DOCKER_HOST", dockerd.url)
    settings = {"pool_size": 3, "docker_timeout_seconds": ENGINE_TIMEOUT}
    with own_backend(dockerd.client, sandbox_image, **settings) as made:
        made.warm_up()
        yield made
        made.await_pool()
        _sweep(made)
        made.await_quiet()
    assert not dockerd.in_containers()


def _sweep(own: Own) -> int:
    """As the worker's housekeeping does; nobody but the backend itself knows of its sandboxes."""
    return own.backend.sweep(lambda *_: False, lambda _: False)


def test_a_hanging_engine_costs_a_job_one_sandbox_and_not_all_that_wait(
    own: Own, dockerd: OwnEngine
) -> None:
    waiting = own.ids()
    dockerd.hang()
    try:
        with pytest.raises(EngineUnavailableError):
            own.run()
        assert own.backend._pool.waiting == 2
    finally:
        dockerd.resume()
    outcomes = [own.run(), own.run()]
    assert [was_warm(outcome) for outcome in outcomes] == [True, True]
    assert {container_of(outcome) for outcome in outcomes} < {item[:12] for item in waiting}


def test_after_an_engine_died_jobs_run_and_others_wait(own: Own, dockerd: OwnEngine) -> None:
    waiting = own.ids()
    dockerd.kill()
    with pytest.raises(EngineUnavailableError):
        own.run()
    dockerd.start()
    outcome = own.run("print('ran')")
    assert (outcome.status, outcome.stdout.kept) == (Status.SUCCEEDED, b"ran\n")
    assert container_of(outcome) not in {item[:12] for item in waiting}
    wait_until(lambda: _sweep(own) == 0 and not waiting & own.ids(), 30, "the old ones' removal")
    own.await_pool()
    assert was_warm(own.run())
