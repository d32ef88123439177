"""Which containers are swept, by their labels."""

import time

import pytest

from worker.sandbox import container
from worker.sandbox.leftovers import Users, is_leftover

EXECUTION = "12345678-1234-5678-1234-567812345678"


def labels(**changes):
    values = {"EXECUTION": EXECUTION, "ATTEMPT": "2", "DEADLINE": str(time.time() + 60)}
    return _labels(values | changes)


def warm_labels(**changes):
    values = {"WARM": "token", "WORKER": "other:1", "DEADLINE": str(time.time() + 60)}
    return _labels(values | changes)


def _labels(values):
    return {getattr(container, f"LABEL_{key}"): value for key, value in values.items()}


def users(*, runs=False, keeps=False, is_held=False, is_alive=False):
    return Users(
        worker_id="own:1",
        runs=lambda *_: runs,
        keeps=lambda _: keeps,
        is_held=lambda *_: is_held,
        is_alive=lambda _: is_alive,
    )


def test_what_somebody_holds_is_kept():
    assert not is_leftover(labels(), users(is_held=True))


def test_what_nobody_holds_goes():
    asked = []
    known = Users(
        worker_id="own:1",
        runs=lambda *_: False,
        keeps=lambda _: False,
        is_held=lambda *key: asked.append(key) or False,
        is_alive=lambda _: True,
    )
    assert is_leftover(labels(), known)
    assert [(str(execution), attempt) for execution, attempt in asked] == [(EXECUTION, 2)]


def test_what_is_past_its_deadline_goes_whoever_holds_it():
    assert is_leftover(labels(DEADLINE="1"), users(is_held=True))


def test_what_this_process_runs_stays_past_its_deadline():
    assert not is_leftover(labels(DEADLINE="1"), users(runs=True))


def test_what_this_process_keeps_ready_stays_past_its_deadline():
    assert not is_leftover(warm_labels(DEADLINE="1"), users(keeps=True))


def test_what_a_living_worker_keeps_ready_stays():
    assert not is_leftover(warm_labels(), users(is_alive=True))


def test_what_a_dead_worker_kept_ready_goes():
    assert is_leftover(warm_labels(), users())


def test_what_a_living_worker_kept_past_the_deadline_goes():
    assert is_leftover(warm_labels(DEADLINE="1"), users(is_alive=True))


def test_what_a_predecessor_of_the_same_name_kept_ready_goes():
    assert is_leftover(warm_labels(WORKER="own:1"), users(is_alive=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"EXECUTION": "x"},
        {"ATTEMPT": ""},
        {"ATTEMPT": "1.5"},
        {"DEADLINE": "soon"},
    ],
)
def test_what_has_labels_of_others_is_left_alone(wrong):
    assert not is_leftover(labels(**wrong), users())


@pytest.mark.parametrize("missing", ["DEADLINE", "WORKER"])
def test_what_lacks_a_label_is_left_alone(missing):
    made = warm_labels()
    del made[getattr(container, f"LABEL_{missing}")]
    assert not is_leftover(made, users())
    assert not is_leftover({}, users())
