"""What readiness says of the workers."""

import pytest

from api.routes.health import _workers


@pytest.mark.parametrize(
    ("errors", "ready"),
    [([], False), (["away"], False), (["away", "away"], False), ([None], True),
     ([None, "away"], True)],
)  # fmt: skip
def test_one_able_worker_is_enough(errors, ready):
    assert _workers(errors).startswith("ok") is ready


def test_the_able_are_counted_among_the_living():
    assert "1 of 3" in _workers(["away", None, "away"])


def test_without_a_worker_the_next_step_is_told():
    assert "python -m worker run" in _workers([])
