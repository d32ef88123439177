"""How traced calls become a budget."""

import pytest

from tests.benchmarks.steps import WHOLE, Span, steps_of

MS = 1_000_000  # nanoseconds
CALL = Span("client", 0, 20 * MS)


def budget(*spans: Span) -> dict[str, float]:
    return dict(steps_of(CALL, sorted(spans, key=lambda span: span.begun)))


def test_steps_together_are_the_whole():
    steps = budget(
        Span("authenticate", 1 * MS, 2 * MS),
        Span("submit", 3 * MS, 6 * MS),
        Span("execute", 8 * MS, 19 * MS),
        Span("claim", 8 * MS, 9 * MS),
        Span("wake", 17 * MS, 17 * MS),
    )
    whole = steps.pop(WHOLE)
    assert whole == 20
    assert sum(steps.values()) == pytest.approx(whole)
    assert steps["submit: one transaction"] == 3


def test_what_goes_on_beside_the_way_to_the_answer_takes_no_time():
    steps = budget(
        Span("publish", 2 * MS, 5 * MS),
        Span("execute", 4 * MS, 19 * MS),
        Span("claim", 4 * MS, 6 * MS),
        Span("wake", 5 * MS, 5 * MS),
    )
    assert steps["notified: PostgreSQL to the API"] == 0
    assert all(took >= 0 for took in steps.values())


def test_a_container_that_the_pool_starts_meanwhile_is_no_step():
    taken = (Span("take", 2 * MS, 3 * MS), Span("verify", 3 * MS, 5 * MS))
    beside = budget(*taken, Span("start", 4 * MS, 18 * MS))
    assert not any("container created" in label for label in beside)
    before = budget(Span("take", 1 * MS, 2 * MS), Span("start", 2 * MS, 3 * MS), taken[1])
    assert any("container created" in label for label in before)


def test_calls_of_others_before_and_after_are_left_out():
    steps = budget(Span("submit", -9 * MS, -8 * MS), Span("submit", 30 * MS, 31 * MS))
    assert "submit: one transaction" not in steps
