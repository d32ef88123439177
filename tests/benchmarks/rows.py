"""What a benchmark measured: rows for people and for programs."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

OUTPUT = Path("build/bench/bench.json")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing measured `n` times; `ratio` is its median over that of `compared_with`."""

    name: str
    unit: str
    median: float
    p95: float
    p99: float
    n: int
    compared_with: str | None = None
    ratio: float | None = None


def measured(unit: str, samples: Mapping[str, Sequence[float]], base: str) -> list[Row]:
    """Return a row for each name, compared with the one called `base`."""
    reference = statistics.median(samples[base])
    return [
        Row(
            name=name,
            unit=unit,
            median=statistics.median(values),
            p95=_percentile(values, 95),
            p99=_percentile(values, 99),
            n=len(values),
            compared_with=None if name == base else base,
            ratio=None if name == base else statistics.median(values) / reference,
        )
        for name, values in samples.items()
    ]


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def side_by_side(
    subjects: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Measure all subjects in each round, in an order that alternates."""
    samples: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds):
        names = list(subjects)
        for name in names if number % 2 else reversed(names):
            samples[name].append(subjects[name]())
    return samples


def machine() -> dict[str, object]:
    """Return what a figure depends on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": pages // 1_048_576,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def write(facts: dict[str, object], rows: Sequence[Row]) -> None:
    """Write the rows as JSON and print them as a table."""
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(
        json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=1)
    )
    print(f"{'':44}{'median':>10}{'p95':>10}{'p99':>10}{'n':>6}  ratio")
    for row in rows:
        ratio = f"{row.ratio:.2f} x {row.compared_with}" if row.ratio is not None else ""
        figures = f"{row.median:10.3f}{row.p95:10.3f}{row.p99:10.3f}{row.n:6}"
        print(f"{f'{row.name} [{row.unit}]':44}{figures}  {ratio}")
    print(f"written to {OUTPUT}")
