"""How many sandboxes of which shape are kept, on a clock of the tests' own."""

import pytest

from worker.sandbox.launched import Launched
from worker.sandbox.pool.shape import Shape, changeable, differing, without_job
from worker.sandbox.pool.stock import LONGEST_PAUSE, MAX_SHAPES, Bounds, Stock

IDLE, MAX_AGE = 60, 900  # seconds
IMAGE, OTHER_IMAGE = "sha256:one", "sha256:two"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Line:
    """Stands for a connection: it has news once its sandbox has ended."""

    ended = False

    def has_news(self):
        return self.ended


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_stock(clock):
    def make(most=16):
        bounds = Bounds(most=most, idle_seconds=IDLE, max_age_seconds=MAX_AGE)
        return Stock(bounds, clock)

    return make


@pytest.fixture
def stock(make_stock):
    return make_stock()


@pytest.fixture
def spec(make_spec):
    return make_spec()


@pytest.fixture
def other(make_spec):
    return make_spec({"source": "x", "resource_limits": {"storage_quota_mb": 16}})


def launched(spec, clock, image_id=IMAGE):
    return Launched(
        spec=spec, container_id="c", connection=Line(), place=None, token="t",
        image_id=image_id, started_at=clock.now,
    )  # fmt: skip


def fill(stock, clock):
    """Start all that is lacking; return what was started."""
    started = []
    while (wanted := stock.next_start()) is not None:
        shape, spec = wanted
        started.append(launched(spec, clock))
        stock.started(shape, started[-1])
    return started


def ask(stock, spec):
    """Ask as a job does; return what it got, a miss being noted."""
    found = stock.take(spec)
    if found is None:
        stock.missed(spec)
    return found


def look(stock, clock, seconds=0.0, images=None):
    """Let time pass; return what is thrown away then."""
    clock.now += seconds
    return list(stock.unneeded({} if images is None else images))


def test_what_is_kept_is_lacking_from_the_start(stock, spec, clock):
    stock.keep(spec, 3)
    assert stock.target == 3
    assert len(fill(stock, clock)) == 3
    assert (stock.waiting, stock.next_start()) == (3, None)


def test_what_was_asked_for_once_is_not_started_ahead(stock, spec):
    assert ask(stock, spec) is None
    assert (stock.target, stock.next_start()) == (0, None)


def test_from_the_second_time_on_each_miss_makes_it_one_more(stock, spec, clock):
    for expected in (0, 1, 2, 3):
        ask(stock, spec)
        assert stock.target == expected
    assert len(fill(stock, clock)) == 3


def test_a_hit_makes_it_no_more_and_is_replaced(stock, spec, clock):
    stock.keep(spec, 2)
    fill(stock, clock)
    assert ask(stock, spec) is not None
    assert (stock.target, stock.waiting) == (2, 1)
    assert len(fill(stock, clock)) == 1


def test_each_sandbox_is_handed_out_once(stock, spec, clock):
    stock.keep(spec, 3)
    started = fill(stock, clock)
    taken = [stock.take(spec) for _ in range(4)]
    assert taken[3] is None
    assert {id(item) for item in taken[:3]} == {id(item) for item in started}


def test_no_more_than_the_maximum_wait_and_are_started_and_wanted(make_stock, spec, other, clock):
    stock = make_stock(most=3)
    stock.keep(spec, 5)
    assert [stock.next_start() is None for _ in range(4)] == [False, False, False, True]
    for _ in range(9):
        ask(stock, other)
    assert stock.target == 3
    for _ in range(2):
        stock.started(Shape.of(spec), launched(spec, clock))
    assert stock.next_start() is None


def test_what_was_missed_far_more_often_than_there_is_room_is_let_go_as_soon(
    make_stock, spec, clock
):
    stock = make_stock(most=3)
    for _ in range(100):
        ask(stock, spec)
    fill(stock, clock)
    for _ in range(2):
        look(stock, clock, IDLE)
    assert (stock.target, stock.waiting) == (0, 0)


def test_what_a_whole_period_did_not_need_is_let_go(stock, spec, clock):
    for _ in range(5):
        ask(stock, spec)
    fill(stock, clock)
    look(stock, clock, IDLE)  # the period in which it was needed
    assert stock.waiting == 4
    for _ in range(3):
        look(stock, clock, IDLE / 4)
        ask(stock, spec)
        fill(stock, clock)
    # One was taken at a time: so three of the four were never needed.
    assert len(look(stock, clock, IDLE / 4)) == 3
    assert (stock.target, stock.waiting) == (1, 1)
    assert len(look(stock, clock, IDLE)) == 1
    assert (stock.target, stock.waiting) == (0, 0)


def test_however_idle_it_is_the_floor_stays(stock, spec, clock):
    stock.keep(spec, 2)
    for _ in range(3):
        ask(stock, spec)
    fill(stock, clock)
    assert stock.waiting == 5
    for _ in range(4):
        look(stock, clock, IDLE + 1)
    assert (stock.target, stock.waiting) == (2, 2)
    assert stock.next_start() is None


def test_what_is_too_old_is_thrown_away_and_replaced(stock, spec, clock):
    stock.keep(spec, 1)
    (old,) = fill(stock, clock)
    assert look(stock, clock, MAX_AGE) == []
    assert look(stock, clock, 1) == [old]
    assert len(fill(stock, clock)) == 1


def test_a_broken_one_is_thrown_away_and_replaced(stock, spec, clock):
    stock.keep(spec, 2)
    broken, whole = fill(stock, clock)
    broken.connection.ended = True
    assert look(stock, clock) == [broken]
    assert stock.waiting == 1
    assert stock.take(spec) is whole


def test_what_is_broken_or_too_old_is_not_handed_out(stock, spec, clock):
    stock.keep(spec, 2)
    (old,) = fill(stock, clock)[:1]
    clock.now += MAX_AGE / 2
    assert stock.take(spec) is old
    (young,) = fill(stock, clock)
    clock.now += MAX_AGE / 2 + 1
    assert stock.take(spec) is young
    (last,) = fill(stock, clock)[:1]
    last.connection.ended = True
    assert {id(stock.take(spec)) for _ in range(3)}.isdisjoint({id(last)})


def test_an_image_that_has_changed_or_gone_takes_its_sandboxes_along(stock, spec, clock):
    stock.keep(spec, 2)
    for images in ({spec.image_reference: OTHER_IMAGE}, {spec.image_reference: ""}):
        fill(stock, clock)
        assert look(stock, clock, images={"another": OTHER_IMAGE}) == []
        assert look(stock, clock, images={spec.image_reference: IMAGE}) == []
        assert len(look(stock, clock, images=images)) == 2


def test_only_images_that_wait_are_asked_for(stock, spec, clock):
    stock.keep(spec, 1)
    assert stock.references == set()
    fill(stock, clock)
    assert stock.references == {spec.image_reference}


def test_what_lacks_gets_room_from_what_was_asked_for_least_recently(make_stock, make_spec, clock):
    stock = make_stock(most=4)
    recently, long_ago, third = (
        make_spec({"source": "x", "resource_limits": {"storage_quota_mb": size}})
        for size in (16, 17, 18)
    )
    for spec in (recently, long_ago) * 3:
        clock.now += 1
        ask(stock, spec)
    assert len(fill(stock, clock)) == 4  # two of each
    clock.now += 1
    assert ask(stock, recently) is not None
    fill(stock, clock)
    for _ in range(2):
        ask(stock, third)
    assert stock.next_start() is None
    (given_up,) = look(stock, clock)
    assert given_up.spec.limits.storage_mb == 17
    (started,) = fill(stock, clock)
    assert started.spec.limits.storage_mb == 18
    assert look(stock, clock) == []  # and it does not want back what it has given


def test_what_wants_more_than_there_is_room_for_makes_room_all_the_same(
    make_stock, spec, other, clock
):
    stock = make_stock(most=2)
    for _ in range(9):
        ask(stock, spec)
    fill(stock, clock)
    clock.now += 1
    for _ in range(2):
        ask(stock, other)
    for _ in range(3):
        assert len(look(stock, clock)) <= 1
        fill(stock, clock)
    assert stock.take(other) is not None
    assert stock.take(spec) is not None


def test_what_was_asked_for_earlier_gets_no_room_from_what_was_later(
    make_stock, spec, other, clock
):
    stock = make_stock(most=2)
    for _ in range(2):
        ask(stock, other)
    for _ in range(3):
        clock.now += 1
        ask(stock, spec)
    fill(stock, clock)
    assert look(stock, clock) == []


def test_the_floor_makes_no_room(make_stock, spec, other, clock):
    stock = make_stock(most=2)
    stock.keep(spec, 2)
    fill(stock, clock)
    for _ in range(5):
        ask(stock, other)
    assert look(stock, clock) == []
    assert stock.next_start() is None


def test_what_cannot_be_started_takes_nothing_from_others(make_stock, spec, other, clock):
    stock = make_stock(most=2)
    for _ in range(2):
        ask(stock, other)
    shape, _ = stock.next_start()
    stock.not_started(shape)
    for _ in range(3):
        ask(stock, spec)
    fill(stock, clock)
    clock.now += 0.5
    ask(stock, other)
    assert stock.waiting == 2
    assert look(stock, clock) == []
    assert len(look(stock, clock, LONGEST_PAUSE)) == 1  # but it may try again


def test_a_shape_whose_start_failed_pauses_longer_each_time_and_holds_up_no_other(
    stock, spec, other, clock
):
    stock.keep(spec, 2)
    pauses, wanted = [], stock.next_start()
    for _ in range(8):
        began = clock.now
        stock.not_started(wanted[0])
        while (wanted := stock.next_start()) is None:
            clock.now += 0.5
        pauses.append(clock.now - began)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    stock.not_started(wanted[0])
    stock.keep(other, 1)
    assert stock.next_start()[0] == Shape.of(other)
    clock.now += LONGEST_PAUSE
    shape, started = stock.next_start()
    stock.started(shape, launched(started, clock))
    shape, _ = stock.next_start()
    stock.not_started(shape)
    clock.now += 1  # the first pause again
    assert stock.next_start()[0] == shape


def test_a_failed_start_is_counted_as_starting_no_more(make_stock, spec, clock):
    stock = make_stock(most=1)
    stock.keep(spec, 1)
    shape, _ = stock.next_start()
    assert stock.next_start() is None
    stock.not_started(shape)
    clock.now += LONGEST_PAUSE
    assert stock.next_start() is not None


def test_the_floor_is_started_first_and_then_what_was_asked_for_last(
    stock, spec, other, make_spec, clock
):
    stock.keep(spec, 2)
    third = make_spec({"source": "x", "resource_limits": {"storage_quota_mb": 17}})
    for each in (spec, other, third, other, third, third):
        clock.now += 1
        ask(stock, each)
    order = [stock.next_start()[0] for _ in range(6)]
    assert order == [Shape.of(each) for each in (spec, spec, third, third, other, spec)]


def test_a_stranger_who_asks_for_ever_new_shapes_makes_it_forget_only_those(
    make_stock, make_spec, spec, clock
):
    stock = make_stock(most=4)
    stock.keep(spec, 1)
    fill(stock, clock)
    for size in range(4, 4 + 3 * MAX_SHAPES):
        clock.now += 0.01
        asked = make_spec({"source": "x", "resource_limits": {"storage_quota_mb": size}})
        assert ask(stock, asked) is None
        assert ask(stock, asked) is None
        fill(stock, clock)
        look(stock, clock)
        assert len(stock._shelves) <= MAX_SHAPES
        assert stock.waiting <= 4
    assert stock.take(spec) is not None


def test_shapes_that_are_waited_for_are_not_forgotten(make_stock, make_spec, clock):
    stock = make_stock(most=1000)
    kept = make_spec({"source": "x", "resource_limits": {"storage_quota_mb": 4000}})
    for _ in range(2):
        ask(stock, kept)
    shape, started = stock.next_start()
    for size in range(4, 4 + MAX_SHAPES):
        clock.now += 1
        ask(stock, make_spec({"source": "x", "resource_limits": {"storage_quota_mb": size}}))
    stock.started(shape, launched(started, clock))
    for size in range(4, 4 + MAX_SHAPES):
        clock.now += 1
        ask(stock, make_spec({"source": "x", "resource_limits": {"storage_quota_mb": 200 + size}}))
    assert stock.take(kept) is not None


@pytest.fixture
def small(make_spec):
    return make_spec({"source": "x", "execution_limits": {"max_memory_mb": 64}})


@pytest.fixture
def large(make_spec):
    return make_spec({"source": "x", "execution_limits": {"max_memory_mb": 128}})


def test_one_with_equal_limits_is_preferred_and_the_next_is_started_like_the_last(
    stock, small, large, clock
):
    assert Shape.of(small) == Shape.of(large)
    for _ in range(3):
        ask(stock, small)
    fill(stock, clock)
    first = stock.take(large)
    assert differing(first.spec, large) == changeable(large)
    (replaced,) = fill(stock, clock)
    assert replaced.spec.limits.memory_mb == 128
    assert stock.take(large) is replaced
    assert differing(replaced.spec, large) == {}
    assert stock.take(small).spec.limits.memory_mb == 64


def test_what_is_always_kept_is_started_as_the_settings_say(stock, small, large, clock):
    stock.keep(small, 1)
    fill(stock, clock)
    for _ in range(2):
        assert stock.take(large) is not None
        (replaced,) = fill(stock, clock)
        assert replaced.spec.limits.memory_mb == 64


def test_everything_can_be_taken_out(stock, spec, other, clock):
    stock.keep(spec, 2)
    stock.keep(other, 1)
    started = fill(stock, clock)
    assert {id(item) for item in stock.all()} == {id(item) for item in started}
    assert stock.waiting == 0


@pytest.mark.parametrize(
    "body",
    [
        {"resource_limits": {"storage_quota_mb": 8}},
        {"execution_limits": {"max_file_descriptors": 20}},
        {"security_profile": "minimal"},
        {"security_options": {"blocked_syscalls": ["symlink"]}},
        {"security_options": {"allowed_capabilities": ["CHOWN"]}, "security_profile": "minimal"},
        {"security_options": {"read_only_filesystem": False}},
        {"allowed_hosts": ["example.com"]},
    ],
)
def test_what_the_engine_cannot_change_makes_another_shape(make_spec, spec, body):
    changed = make_spec({"source": "x"} | body, allow_writable_root=True)
    assert Shape.of(changed) != Shape.of(spec)


@pytest.mark.parametrize(
    "body",
    [
        {"source": "y", "args": ["1"], "stdin": "in", "environment": {"A": "1"}, "priority": 1},
        {"execution_limits": {"max_memory_mb": 64, "max_processes": 3, "max_cpu_percent": 20}},
        {"execution_limits": {"max_execution_time_seconds": 3, "max_network_requests": 1}},
        {"resource_limits": {"network_access": "none"}},
        {"max_attempts": 2, "restricted_python": True},
    ],
)
def test_what_comes_with_the_job_or_can_be_changed_makes_no_other_shape(make_spec, spec, body):
    assert Shape.of(make_spec({"source": "x"} | body)) == Shape.of(spec)


def test_other_hosts_make_no_other_shape(make_spec):
    one, two = (make_spec({"source": "x", "allowed_hosts": hosts})
                for hosts in (["a.example"], ["b.example", "10.0.0.0/8"]))  # fmt: skip
    assert Shape.of(one) == Shape.of(two)


def test_nothing_of_a_job_is_left_in_what_is_started_ahead(make_spec):
    body = {"source": "secret", "args": ["secret"], "stdin": "secret", "max_attempts": 3,
            "environment": {"A": "secret"}, "files": [{"path": "secret", "content": "secret"}],
            "allowed_hosts": ["a.example", "secret.example"]}  # fmt: skip
    spec = make_spec(body)
    bare = without_job(spec)
    assert "secret" not in bare.model_dump_json()
    assert str(spec.execution_id) not in bare.model_dump_json()
    assert (bare.attempt, bare.max_attempts) == (0, 1)
    assert Shape.of(bare) == Shape.of(spec)
