"""The tables of the document come from the last run, and only they."""

from dataclasses import replace

import pytest

from tests.benchmarks.document import documented, refusal
from tests.benchmarks.rows import Row, unmeasured

FACTS = {
    **dict.fromkeys(("cores", "memory_mib", "load_before", "seconds"), 1),
    **dict.fromkeys(("cpu", "kernel", "docker", "runtime", "storage_driver", "cgroup"), "known"),
    **dict.fromkeys(("python", "commit"), "known"),
    "quick": False,
    "failed": [],
}
TEXT = """Before.
<!-- bench:load -->
old
<!-- /bench -->
Between.
<!-- bench:steps -->
kept
<!-- /bench -->
After.
"""


def row(part: str, name: str, median: float = 1.5) -> Row:
    return Row(name=name, unit="ms", median=median, p95=2, p99=1234.5, n=3, part=part)


def test_a_table_takes_the_place_of_the_one_before():
    text = documented(TEXT, FACTS, [row("load", "warm")])
    assert "| warm | ms | 1.50 | 2.00 | 1234 | 3 |  |" in text
    assert "old" not in text
    assert text.startswith("Before.\n<!-- bench:load -->\n")
    assert "\nBetween.\n" in text


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        ({"quick": True}, "quick"),
        ({"commit": None}, "no commit"),
        ({"commit": "0123456789-dirty"}, "no commit"),
        ({"failed": ["store"]}, "lacks what failed: store"),
    ],
)
def test_a_run_that_nobody_could_repeat_is_refused(fact, why):
    assert why in refusal(FACTS | fact)


def test_a_whole_run_is_taken():
    assert refusal(FACTS) is None


def test_a_part_that_did_not_run_keeps_its_table():
    assert "kept" in documented(TEXT, FACTS, [row("load", "warm")])
    assert documented(TEXT, FACTS, []) == TEXT


def test_what_was_not_measured_says_why():
    missing = replace(unmeasured("epicbox", "ms", "no network"), part="load")
    text = documented(TEXT, FACTS, [missing])
    assert "| epicbox (no network) | ms |  |  |  | 0 |  |" in text


def test_steps_of_both_kinds_stand_beside_each_other():
    rows = [
        row("steps", "warm: claim", 1),
        row("steps", "warm: all", 5),
        row("steps", "cold: claim", 2),
        row("steps", "cold: container", 90),
        row("steps", "cold: all", 95),
    ]
    table = (
        "| median / p95, ms | warm | cold |\n|---|---|---|\n"
        "| claim | 1.00 / 2.00 | 2.00 / 2.00 |\n"
        "| container |  | 90.00 / 2.00 |\n"
        "| all | 5.00 / 2.00 | 95.00 / 2.00 |\n<!-- /bench -->"
    )
    assert table in documented(TEXT, FACTS, rows)


def test_a_store_has_a_table_for_each_kind_of_growth():
    text = TEXT.replace("bench:load", "bench:store")
    rows = [
        row("store", "list: a status, of none, 1,000 stored"),
        row("store", "list: a status, of none, 100,000 stored"),
        row("store", "submit, 10 queued"),
    ]
    made = documented(text, FACTS, rows)
    assert "| median / p95, ms | 1,000 stored | 100,000 stored |" in made
    assert "| list: a status, of none | 1.50 / 2.00 | 1.50 / 2.00 |\n\n| median" in made
    assert "| submit | 1.50 / 2.00 |\n<!-- /bench -->" in made
