"""When a worker looks for containers that nobody runs any more."""

import pytest

from models.errors import StoreUnavailableError
from models.sandbox import Outcome
from models.settings import Settings
from models.status import Status
from worker import claims, heartbeats, housekeeping
from worker.execution import Executor
from worker.housekeeping import Housekeeping
from worker.sandbox.fake import FakeBackend

LEASE = 30  # seconds


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


class Store:
    """Stands for the database: it answers, or it is away."""

    away = False

    def __call__(self, *_arguments, **_named):
        if self.away:
            raise StoreUnavailableError("away")
        return []


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(housekeeping, "time", made)
    return made


@pytest.fixture
def store(monkeypatch):
    made = Store()
    monkeypatch.setattr(claims, "renew", made)
    monkeypatch.setattr(heartbeats, "report_worker", made)
    return made


@pytest.fixture
def sweeps():
    return []


@pytest.fixture
def keeping(clock, store, sweeps, monkeypatch):
    backend = FakeBackend(lambda *_: Outcome(status=Status.SUCCEEDED))
    monkeypatch.setattr(backend, "sweep", lambda *_: sweeps.append(clock.now))
    settings = Settings(database_url="unused://", broker_url="unused://", lease_seconds=LEASE)
    return Housekeeping(Executor(backend, settings, "w:1"))


def test_a_worker_sweeps_from_its_start(keeping, sweeps):
    keeping.tend_containers()
    keeping.beat()
    keeping.tend_containers()
    assert len(sweeps) == 2


def test_after_an_outage_of_the_database_others_have_a_lease_to_show_that_they_live(
    keeping, store, clock, sweeps
):
    keeping.beat()
    store.away = True
    with pytest.raises(StoreUnavailableError):
        keeping.beat()
    keeping.tend_containers()
    store.away = False
    keeping.tend_containers()
    assert sweeps == []
    keeping.beat()
    for passed in (0, LEASE / 2, LEASE / 2 - 0.1):
        clock.now += passed
        keeping.beat()
        keeping.tend_containers()
    assert sweeps == []
    clock.now += 0.1
    keeping.tend_containers()
    assert sweeps == [1000 + LEASE]


def test_a_worker_that_ends_before_its_broker_answered_has_nothing_to_wait_for(
    keeping, monkeypatch
):
    signed_off = []
    monkeypatch.setattr(heartbeats, "forget_worker", signed_off.append)
    keeping.stop()
    assert signed_off == ["w:1"]
