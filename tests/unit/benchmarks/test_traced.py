"""The functions that the budget is made of are where the tracer looks for them."""

import pytest

from tests.benchmarks.steps import BUDGET
from tests.benchmarks.traced import MARKS, found

PLACES = {step: place for marks in MARKS.values() for step, place in marks.items()}


@pytest.mark.parametrize("place", PLACES.values())
def test_a_marked_function_is_there(place: str):
    assert callable(found(place)[2])


def test_every_step_of_the_budget_is_marked():
    assert {step for _, step, _ in BUDGET} <= PLACES.keys() | {"client"}
