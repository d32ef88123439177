"""What a benchmark measured: rows for people and for programs."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing measured `n` times; `ratio` is its median over that of `compared_with`.

    What could not be measured has no figures, and a `note` that says why.
    """

    name: str
    unit: str
    median: float | None
    p95: float | None
    p99: float | None
    n: int
    compared_with: str | None = None
    ratio: float | None = None
    note: str | None = None
    part: str = ""  # of the suite


def measured(
    unit: str,
    samples: Mapping[str, Sequence[float]],
    base: str | None = None,
    *,
    notes: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return a row for each name, compared with the one called `base`."""
    reference = statistics.median(samples[base]) if base is not None and base in samples else None
    return [
        Row(
            name=name,
            unit=unit,
            median=statistics.median(values),
            p95=percentile(values, 95),
            p99=percentile(values, 99),
            n=len(values),
            compared_with=None if name == base or reference is None else base,
            ratio=None if name == base or not reference else statistics.median(values) / reference,
            note=(notes or {}).get(name),
        )
        for name, values in samples.items()
    ]


def unmeasured(name: str, unit: str, why: str) -> Row:
    """Return the row of what could not be measured."""
    return Row(name=name, unit=unit, median=None, p95=None, p99=None, n=0, note=why)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which `percent` of them lie; of few values, the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def side_by_side(
    subjects: Mapping[str, Callable[[], float]],
    rounds: int,
    tell: Callable[[str], None] | None = None,
) -> dict[str, list[float]]:
    """Measure all subjects in each round, in an order that alternates."""
    samples: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name in in_turn(list(subjects), number):
            samples[name].append(subjects[name]())
        if tell is not None:
            tell(f"{number + 1} of {rounds} rounds")
    return samples


def in_turn(items: Sequence[Item], number: int) -> list[Item]:
    """Return the items, in every other round from the last to the first."""
    return list(items) if number % 2 else list(reversed(items))
