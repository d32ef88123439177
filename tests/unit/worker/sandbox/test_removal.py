"""Containers that are removed beside other work, and what the sweep makes of them."""

import threading

import pytest
import requests
from docker.errors import APIError, NotFound

from models.settings import Settings
from tests.harness import wait_until
from worker.sandbox import removal as removing
from worker.sandbox.client import EngineClient
from worker.sandbox.docker_backend import DockerBackend
from worker.sandbox.removal import Removal

ID = "0123456789abcdef"
LABELS = {"dev.agentcore.warm": "token", "dev.agentcore.worker": "dead:1",
          "dev.agentcore.deadline": "1"}  # fmt: skip


def nothing():
    """What has to be done before or after the removal of these."""


class Engine:
    """Removes what it is told to, once it may."""

    def __init__(self):
        self.removed = []
        self.may_remove = threading.Event()
        self.may_remove.set()
        self.error = None

    def remove_container(self, container_id, **_options):
        assert self.may_remove.wait(20)
        if self.error:
            raise self.error
        self.removed.append(container_id)

    def containers(self, **_options):
        return [{"Id": ID, "Labels": LABELS, "State": "running"}]


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def removal(engine):
    client = EngineClient(1)
    client._api = engine
    made = Removal(client)
    yield made
    engine.may_remove.set()
    made.close()


def test_what_may_wait_is_removed_beside_its_caller_and_known_until_then(engine, removal):
    done = []
    engine.may_remove.clear()
    removal.remove(ID, nothing, lambda: done.append(ID), may_wait=True)
    assert removal.has(ID)
    assert done == []
    engine.may_remove.set()
    wait_until(lambda: done == [ID], 20, "the removal")
    assert engine.removed == [ID]
    assert not removal.has(ID)


def test_a_sandbox_is_let_go_before_the_engine_is_asked_which_may_take_long(engine, removal):
    steps = []
    engine.may_remove.clear()
    removal.remove(ID, lambda: steps.append("let go"), lambda: steps.append("done"), may_wait=True)
    wait_until(lambda: steps == ["let go"], 20, "the first step")
    engine.may_remove.set()
    wait_until(lambda: steps == ["let go", "done"], 20, "the last step")


def test_for_a_while_nothing_happens_out_of_courtesy_and_at_the_end_there_is_none(engine, removal):
    steps = []
    letting_go, done = (lambda: steps.append("let go")), (lambda: steps.append("done"))
    removal.remove(ID, letting_go, done, may_wait=True, courtesy=3600)
    assert removal.has(ID)
    assert steps == []
    removal.close()
    assert (steps, engine.removed) == (["let go", "done"], [ID])


def test_what_must_not_wait_has_no_courtesy(engine, removal):
    removal.remove(ID, nothing, nothing, may_wait=False, courtesy=3600)
    assert engine.removed == [ID]


def test_what_cannot_be_let_go_is_removed_all_the_same(engine, removal):
    def fails():
        raise OSError("bad descriptor")

    done = []
    removal.remove(ID, fails, lambda: done.append(ID), may_wait=True)
    wait_until(lambda: done == [ID], 20, "the removal")
    assert engine.removed == [ID]
    assert not removal.has(ID)


def test_what_may_not_wait_is_gone_when_the_call_returns(engine, removal):
    done = []
    removal.remove(ID, nothing, lambda: done.append(ID), may_wait=False)
    assert (engine.removed, done, removal.has(ID)) == ([ID], [ID], False)


def test_whoever_comes_when_too_many_wait_removes_it_himself(engine, removal, monkeypatch):
    engine.may_remove.clear()
    for number in range(removing.MAX_WAITING):
        removal.remove(str(number), nothing, nothing, may_wait=True)
    done = []
    last = threading.Thread(
        target=removal.remove,
        args=(ID, nothing, lambda: done.append(ID)),
        kwargs={"may_wait": True},
    )
    last.start()
    assert last.is_alive()
    engine.may_remove.set()
    last.join(20)
    assert done == [ID]


def test_closing_waits_for_what_is_to_be_removed_and_later_ones_are_removed_at_once(
    engine, removal
):
    for number in range(10):
        removal.remove(str(number), nothing, nothing, may_wait=True)
    removal.close()
    assert len(engine.removed) == 10
    removal.remove(ID, nothing, nothing, may_wait=True)
    assert engine.removed[-1] == ID


@pytest.mark.parametrize(
    "error", [APIError("500"), NotFound("gone"), requests.exceptions.ConnectionError("away")]
)
def test_a_removal_that_fails_is_over_too(engine, removal, error):
    done = []
    engine.error = error
    removal.remove(ID, nothing, lambda: done.append(ID), may_wait=False)
    assert done == [ID]
    assert not removal.has(ID)


@pytest.fixture
def backend(engine):
    settings = Settings(database_url="unused://", broker_url="unused://")
    made = DockerBackend(settings, "own:1")
    made._client._api = engine
    yield made
    engine.may_remove.set()
    made.close()


def _sweep(backend):
    return backend.sweep(lambda *_: False, lambda _: False)


def test_the_sweep_leaves_alone_what_is_about_to_be_removed_anyway(engine, backend):
    engine.may_remove.clear()
    backend._launcher._removal.remove(ID, nothing, nothing, may_wait=True)
    assert _sweep(backend) == 0
    engine.may_remove.set()
    wait_until(lambda: engine.removed == [ID], 20, "the removal")
    assert _sweep(backend) == 1


def test_the_sweep_counts_what_it_has_removed_itself(engine, backend):
    engine.error = NotFound("gone")
    assert _sweep(backend) == 0
    engine.error = None
    assert _sweep(backend) == 1
