"""What readiness says of the workers."""

import pytest
from sqlalchemy.exc import ProgrammingError

from api import metrics, readiness
from api.readiness import _workers


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


def test_before_the_first_migration_the_next_step_is_told(monkeypatch):
    def refuse():
        raise ProgrammingError("SELECT", {}, Exception("no such table"))

    monkeypatch.setattr(readiness, "autocommit", refuse)
    monkeypatch.setattr(metrics, "autocommit", refuse)
    assert "alembic upgrade head" in readiness._database_workers_sweep()[0]
    assert metrics._count() is None
