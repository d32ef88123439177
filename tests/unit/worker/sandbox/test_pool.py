"""Sandboxes kept ready by threads: started and ended by fakes, never handed out twice."""

import threading

import pytest

from tests.harness import wait_until
from worker.sandbox.errors import SandboxStartError
from worker.sandbox.launched import Launched
from worker.sandbox.pool import Bounds, Pool, pool, stock

IMAGE, OTHER_IMAGE = "sha256:one", "sha256:two"


class Line:
    """Stands for a connection: it has news once its sandbox has ended."""

    ended = False

    def has_news(self):
        return self.ended


class Host:
    """Starts and ends nothing but objects, and keeps them all."""

    def __init__(self):
        self.image = IMAGE
        self.started, self.ended = [], []
        self.fails = []  # with what the next starts fail
        self.may_start = threading.Event()
        self.may_start.set()
        self.starting = 0

    def launch(self, spec):
        self.starting += 1
        assert self.may_start.wait(20)
        if self.fails:
            raise self.fails.pop()
        made = Launched(
            spec=spec, container_id="c", connection=Line(), place=None, image_id=self.image
        )
        self.started.append(made)
        return made

    def end(self, sandbox):
        self.ended.append(sandbox)

    def image_id(self, _reference):
        return self.image


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(pool, "TICK", 0.01)
    monkeypatch.setattr(pool, "COURTESY", 0)
    monkeypatch.setattr(stock, "PAUSE", 0.01)
    monkeypatch.setattr(stock, "LONGEST_PAUSE", 0.02)


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def make_pool(host):
    made = []

    def make(most=16, **replaced):
        bounds = Bounds(most=most, idle_seconds=3600, max_age_seconds=3600)
        parts = {"launch": host.launch, "end": host.end, "image_id": host.image_id} | replaced
        made.append(Pool(bounds, **parts))
        return made[-1]

    yield make
    host.may_start.set()
    for each in made:
        each.close()


@pytest.fixture
def spec(make_spec):
    return make_spec()


def await_waiting(pool, number):
    wait_until(lambda: pool.waiting == number, 20, f"{number} that wait")


def test_it_is_filled_in_the_background_from_its_start(make_pool, host, spec):
    pool = make_pool()
    host.may_start.clear()
    pool.start([spec], 3)
    assert (pool.waiting, pool.target) == (0, 3)
    assert pool.take(spec) is None
    host.may_start.set()
    await_waiting(pool, 3)
    assert pool.take(spec) in host.started


def test_switched_off_it_starts_nothing_and_has_no_thread(make_pool, host, spec):
    pool = make_pool(most=0)
    before = threading.active_count()
    pool.start([spec], 3)
    for _ in range(5):
        assert pool.take(spec) is None
        pool.missed(spec)
    assert (threading.active_count(), host.starting, pool.target) == (before, 0, 0)


def test_before_its_start_nothing_is_handed_out_or_counted(make_pool, spec):
    pool = make_pool()
    assert pool.take(spec) is None
    pool.missed(spec)
    pool.missed(spec)
    assert pool.target == 0


def test_what_is_missed_twice_is_started_for_the_next_time(make_pool, spec):
    pool = make_pool()
    pool.start([], 0)
    pool.missed(spec)
    pool.missed(spec)
    await_waiting(pool, 1)
    assert pool.take(spec) is not None


def test_many_threads_never_get_the_same_sandbox(make_pool, host, spec):
    pool = make_pool(most=8)
    pool.start([spec], 8)
    await_waiting(pool, 8)
    taken = [[] for _ in range(8)]

    def ask(mine):
        while len(mine) < 50:
            if (found := pool.take(spec)) is not None:
                mine.append(found)
            else:
                pool.missed(spec)

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    pool.close()
    handed_out = [id(item) for mine in taken for item in mine]
    assert len(handed_out) == len(set(handed_out)) == 400
    # And nothing is lost: what was not handed out has been ended, and nothing else.
    ended = [id(item) for item in host.ended]
    assert sorted(handed_out + ended) == sorted(id(item) for item in host.started)


@pytest.mark.parametrize("error", [SandboxStartError("no"), ValueError("ours")])
def test_a_start_that_fails_is_tried_again(make_pool, host, spec, error):
    host.fails = [error] * 3
    pool = make_pool()
    pool.start([spec], 2)
    await_waiting(pool, 2)
    assert host.starting == 5


def test_closing_ends_what_waits_and_what_is_just_being_started(make_pool, host, spec):
    pool = make_pool()
    pool.start([spec], 2)
    await_waiting(pool, 2)
    host.may_start.clear()
    used = pool.take(spec)
    wait_until(lambda: host.starting == 3, 20, "another start")
    closing = threading.Thread(target=pool.close)
    closing.start()
    wait_until(lambda: pool._closed, 20, "the close to begin")
    host.may_start.set()
    closing.join(20)
    assert not closing.is_alive()
    assert sorted(map(id, [used, *host.ended])) == sorted(map(id, host.started))
    assert len(host.started) == 3


def test_after_it_was_closed_nothing_is_handed_out_or_started(make_pool, host, spec):
    pool = make_pool()
    pool.start([spec], 2)
    await_waiting(pool, 2)
    pool.close()
    for _ in range(3):
        assert pool.take(spec) is None
        pool.missed(spec)
    assert (pool.waiting, host.starting) == (0, 2)


def test_a_broken_one_is_ended_and_replaced(make_pool, host, spec):
    pool = make_pool()
    pool.start([spec], 2)
    await_waiting(pool, 2)
    host.started[0].connection.ended = True
    wait_until(lambda: host.ended == [host.started[0]], 20, "its end")
    await_waiting(pool, 2)
    assert len(host.started) == 3


def test_a_changed_image_ends_all_that_were_started_from_the_old_one(make_pool, host, spec):
    pool = make_pool()
    pool.start([spec], 2)
    await_waiting(pool, 2)
    host.image = OTHER_IMAGE
    wait_until(lambda: len(host.ended) == 2, 20, "their ends")
    await_waiting(pool, 2)
    assert {item.image_id for item in host.ended} == {IMAGE}
    assert pool.take(spec).image_id == OTHER_IMAGE


def test_an_engine_that_does_not_tell_an_image_ends_nothing(make_pool, host, spec):
    asked = threading.Semaphore(0)

    def away(_reference):
        asked.release()

    pool = make_pool(image_id=away)
    pool.start([spec], 1)
    await_waiting(pool, 1)
    for _ in range(3):
        assert asked.acquire(timeout=20)
    assert (host.ended, pool.waiting) == ([], 1)


def test_whatever_fails_while_it_is_tended_it_goes_on_and_ends_the_others(make_pool, host, spec):
    def end(sandbox):
        host.end(sandbox)
        if len(host.ended) == 1:
            raise ValueError("ours")

    pool = make_pool(end=end)
    pool.start([spec], 3)
    await_waiting(pool, 3)
    for each in host.started[:2]:
        each.connection.ended = True
    wait_until(lambda: len(host.ended) == 2, 20, "both ends")
    await_waiting(pool, 3)
    third = host.started[2]
    third.connection.ended = True
    wait_until(lambda: third in host.ended, 20, "the end of the third")


def test_after_a_hit_nothing_is_started_for_a_moment_while_half_of_them_wait(
    make_pool, host, spec, monkeypatch
):
    monkeypatch.setattr(pool, "COURTESY", 3600)
    monkeypatch.setattr(pool, "STARTERS", 1)
    waited = []

    def launch(given):
        waited.append(made.waiting)
        return host.launch(given)

    made = make_pool(launch=launch)
    made.start([spec], 4)
    await_waiting(made, 4)
    del waited[:]
    for _ in range(2):
        assert made.take(spec) is not None
        assert made._courtesy() > 3000
    for _ in range(10):  # each one below half is replaced at once, and none before
        assert made.take(spec) is not None
        await_waiting(made, 2)
    assert waited == [1] * 10
