"""Turns: a few at once, first come first served."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import wait_until
from worker.sandbox.errors import SandboxCancelledError
from worker.sandbox.turns import Turns


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_than_so_many_have_their_turn_at_once(most):
    turns, order, running, at_once = Turns(most), [], [], []
    go_on = threading.Event()

    def work(number):
        with turns.turn(threading.Event()):
            order.append(number)
            running.append(number)
            at_once.append(len(running))
            assert go_on.wait(10)
            running.remove(number)

    with ThreadPoolExecutor(12) as threads:
        for number in range(12):
            threads.submit(work, number)
            wait_until(lambda n=number: len(turns._queue) == n + 1, 10, "its place in the queue")
        wait_until(lambda: len(order) == most, 10, "the first turns")
        go_on.set()
    assert max(at_once) <= most
    assert sorted(order) == list(range(12))
    if most == 1:
        assert order == list(range(12))  # as they came


def test_a_cancel_ends_the_waiting_and_gives_the_place_back():
    turns, cancelled = Turns(1), threading.Event()
    cancelled.set()
    with (
        turns.turn(threading.Event()),
        pytest.raises(SandboxCancelledError),
        turns.turn(cancelled),
    ):
        raise AssertionError("it had its turn")
    with turns.turn(cancelled):
        pass


def test_what_fails_in_its_turn_gives_it_back():
    turns = Turns(1)
    with pytest.raises(LookupError), turns.turn(threading.Event()):
        raise LookupError
    with turns.turn(threading.Event()):
        pass
