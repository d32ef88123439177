"""Removing containers beside the recording of outcomes."""

import threading
from types import SimpleNamespace

import pytest

from worker.sandbox.removal import Removal


class Engine:
    def __init__(self):
        self.removed = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def remove_container(self, container_id, **_options):
        assert self.may_go_on.wait(10)
        self.removed.append(container_id)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def removal(engine):
    made = Removal(SimpleNamespace(api=engine))
    yield made
    engine.may_go_on.set()
    made.close()


def test_what_may_wait_is_removed_in_the_background(removal, engine):
    engine.may_go_on.clear()
    done = threading.Event()
    removal.remove("a", done.set, may_wait=True)
    assert removal.has("a")
    assert not done.is_set()
    engine.may_go_on.set()
    assert done.wait(10)
    removal.close()
    assert not removal.has("a")


def test_closing_waits_for_all_that_is_to_be_removed(removal, engine):
    for name in map(str, range(20)):
        removal.remove(name, lambda: None, may_wait=True)
    removal.close()
    assert len(engine.removed) == 20


def test_what_comes_after_the_end_is_removed_at_once(removal, engine):
    removal.close()
    done = threading.Event()
    removal.remove("late", done.set, may_wait=True)
    assert engine.removed == ["late"]
    assert done.is_set()
