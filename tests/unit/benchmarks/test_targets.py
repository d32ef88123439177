"""Promises are read off the rows of a run, as far as it has them."""

from tests.benchmarks.load import at
from tests.benchmarks.rows import Row, unmeasured
from tests.benchmarks.subjects import DOCKER_RUN, EPICBOX, SDK, WARM
from tests.benchmarks.targets import judged


def row(name: str, unit: str, median: float) -> Row:
    return Row(name=name, unit=unit, median=median, p95=median, p99=median, n=1)


def test_the_best_peer_is_the_one_to_beat():
    rows = [row(WARM, "ms", 20), row(SDK, "ms", 200), row(DOCKER_RUN, "ms", 400)]
    verdicts = {what: (figure, kept) for what, _, figure, kept in judged(rows)}
    assert verdicts["faster than the best one-shot peer"] == ("10.00 times", True)
    assert verdicts["warm, over REST, all recorded"] == ("20.0 ms", True)


def test_a_promise_that_is_not_kept_is_told():
    rows = [row(at(8, WARM), "1/s", 5), row(at(8, SDK), "1/s", 10)]
    assert [kept for *_, kept in judged(rows)] == [False]


def test_nothing_is_said_of_what_was_not_measured():
    assert judged([unmeasured(WARM, "ms", "no engine"), unmeasured(EPICBOX, "ms", "none")]) == []
