"""What strangers ask for is made once for all of them, and anew after a moment."""

import threading

import pytest

from api.cached import Cached


def test_an_answer_is_kept_for_a_while_and_then_made_anew():
    made = []
    lasting = Cached(lambda: made.append(1) or len(made), 3600)
    assert [lasting.get(), lasting.get()] == [1, 1]
    fleeting = Cached(lambda: made.append(1) or len(made), 0)
    assert [fleeting.get(), fleeting.get()] == [2, 3]


def test_none_is_an_answer_too():
    made = []
    cached = Cached(lambda: made.append(1), 3600)
    assert cached.get() is cached.get() is None
    assert len(made) == 1


def test_while_one_thread_makes_it_the_others_have_the_old_one():
    begun, go_on = threading.Event(), threading.Event()
    answers = iter(["old", "new"])

    def make():
        answer = next(answers)
        if answer == "new":
            begun.set()
            go_on.wait(10)
        return answer

    cached = Cached(make, 0)
    assert cached.get() == "old"
    maker = threading.Thread(target=cached.get)
    maker.start()
    assert begun.wait(10)
    assert cached.get() == "old"
    go_on.set()
    maker.join(10)


def test_a_failure_holds_nobody_up():
    def fail():
        raise ValueError("no")

    cached = Cached(fail, 3600)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            cached.get()
