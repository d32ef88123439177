"""What becomes of samples: percentiles, ratios, and the order in which subjects take turns."""

from tests.benchmarks.rows import in_turn, measured, percentile, side_by_side


def test_percentile_of_few_values_is_the_largest():
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert percentile(list(range(100)), 95) == 95


def test_ratio_is_the_median_over_that_of_the_row_compared_with():
    base, twice = measured("ms", {"base": [1.0, 2.0, 9.0], "twice": [4.0, 4.0, 4.0]}, "base")
    assert (base.ratio, base.compared_with) == (None, None)
    assert (twice.ratio, twice.compared_with, twice.n) == (2.0, "base", 3)


def test_rows_without_the_one_to_compare_with_have_no_ratio():
    (row,) = measured("ms", {"alone": [1.0]}, "did not run")
    assert (row.ratio, row.compared_with) == (None, None)


def test_subjects_take_turns_in_an_order_that_alternates():
    order: list[str] = []
    subjects = {name: (lambda name=name: float(len(order.append(name) or order))) for name in "ab"}
    side_by_side(subjects, 2)
    assert order == ["b", "a", "a", "b"]
    assert in_turn([1, 2, 3], 0) == [3, 2, 1]
