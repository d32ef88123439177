"""Starts of sandboxes that wait for their turn or fail; without an engine."""

import threading
from unittest.mock import MagicMock

import pytest
from docker.errors import APIError

from models.settings import Settings
from tests.harness import wait_until
from worker.sandbox import container
from worker.sandbox import launcher as launching
from worker.sandbox.client import EngineClient
from worker.sandbox.errors import SandboxCancelledError, SandboxStartError
from worker.sandbox.launched import Launched
from worker.sandbox.launcher import Launcher
from worker.sandbox.network import Egress


@pytest.fixture
def make_launcher(monkeypatch):
    def make(turns):
        monkeypatch.setattr(launching, "STARTS", turns)
        settings = Settings(database_url="unused://", broker_url="unused://")
        return Launcher(settings, "w:1", EngineClient(1), Egress(settings))

    return make


def test_only_so_many_start_at_the_same_moment(make_launcher, make_spec, monkeypatch):
    go_on, lock, now, most = threading.Event(), threading.Lock(), [0], [0]

    def start(*_arguments, **_named):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        assert go_on.wait(20)
        with lock:
            now[0] -= 1

    monkeypatch.setattr(Launcher, "_start", start)
    launcher = make_launcher(3)
    threads = [
        threading.Thread(target=launcher.cold, args=(make_spec(), threading.Event()))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: now[0] == 3, 20, "three starts")
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert (now[0], most[0]) == (0, 3)


def test_a_start_that_fails_gives_its_turn_back(make_launcher, make_spec, monkeypatch):
    def fail(*_arguments, **_named):
        raise ValueError("no")

    monkeypatch.setattr(Launcher, "_start", fail)
    launcher = make_launcher(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            launcher.cold(make_spec(), threading.Event())


def test_a_cancel_ends_the_wait_for_a_turn(make_launcher, make_spec):
    launcher, cancelled = make_launcher(0), threading.Event()
    cancelled.set()
    with pytest.raises(SandboxCancelledError):
        launcher.cold(make_spec(), cancelled)


class Broken:
    """An engine that makes containers and starts none of them."""

    def __init__(self):
        self.made, self.removed = [], []

    def inspect_image(self, _reference):
        return {"Id": "sha256:one"}

    def create_host_config(self, **options):
        return options

    def create_container(self, **arguments):
        self.made.append(arguments["labels"][container.LABEL_WARM])
        return {"Id": f"container-{len(self.made)}"}

    def start(self, _container):
        raise APIError("500", explanation="no space left on device")

    def remove_container(self, container_id, **_options):
        self.removed.append(container_id)


@pytest.fixture
def broken(make_launcher, monkeypatch):
    """A launcher on such an engine, which is the second thing returned."""
    launcher, engine = make_launcher(1), Broken()
    launcher._client._api = engine
    monkeypatch.setattr(launching, "Connection", lambda *_: MagicMock())
    return launcher, engine


def test_a_start_ahead_that_the_engine_refuses_leaves_nothing(broken, make_spec):
    launcher, engine = broken
    for _ in range(2):
        with pytest.raises(SandboxStartError, match="no space left"):
            launcher.warm(make_spec())
    assert engine.removed == ["container-1", "container-2"]
    assert not any(launcher.is_ours(token) for token in engine.made)


@pytest.mark.parametrize("error", [SandboxStartError("weaker"), KeyError("ours")])
def test_what_is_not_as_asked_when_it_is_looked_into_is_ended(
    broken, make_spec, monkeypatch, error
):
    launcher, engine = broken
    monkeypatch.setattr(engine, "start", lambda _: None)
    seen = []

    def look(launched):
        seen.append(launched)
        assert launcher.is_ours(launched.token)
        raise error

    monkeypatch.setattr(launcher, "_look_inside", look)
    with pytest.raises(type(error)):
        launcher.warm(make_spec())
    assert engine.removed == ["container-1"]
    seen[0].connection.close.assert_called_once()
    assert not launcher.is_ours(seen[0].token)


def test_what_was_started_ahead_is_ours_until_it_is_ended(broken, make_spec, monkeypatch):
    launcher, engine = broken
    monkeypatch.setattr(engine, "start", lambda _: None)
    monkeypatch.setattr(launcher, "_look_inside", lambda _: None)
    launched = launcher.warm(make_spec())
    assert launched.image_id == "sha256:one"
    assert launcher.is_ours(launched.token)
    launcher.discard(launched)
    launcher.close()
    assert not launcher.is_ours(launched.token)
    assert engine.removed == ["container-1"]


class Steps:
    """Stands for a sandbox's connection and its engine, and tells in what order they were used."""

    def __init__(self):
        self.taken = []

    def close(self):
        self.taken.append("closed")

    def remove_container(self, _container, **_options):
        self.taken.append("removed")


@pytest.mark.parametrize("ended_by_itself", [True, False])
def test_the_end_of_its_input_is_the_first_thing_a_sandbox_hears(
    make_launcher, make_spec, ended_by_itself
):
    steps, launcher = Steps(), make_launcher(1)
    launcher._client._api = steps
    launched = Launched(spec=make_spec(), container_id="c", connection=steps, place=None, token="t")
    launched.ended_by_itself = ended_by_itself
    launcher._warm.add("t")
    launcher.end(launched)
    if not ended_by_itself:
        assert steps.taken == ["closed", "removed"], "before the call returns"
    launcher.close()
    assert steps.taken == ["closed", "removed"]
    assert not launcher.is_ours("t")
