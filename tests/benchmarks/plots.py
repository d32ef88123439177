"""Draws the samples: how latencies are distributed, and what the rate does as clients are added."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes

matplotlib.use("Agg")

from matplotlib import pyplot

SIZE = (10, 7)  # inches
RESOLUTION = 120  # dots an inch


def draw(folder: Path, samples: dict[str, Any]) -> list[Path]:
    """Draw what there are samples of; return the files."""
    pictures: dict[str, tuple[Callable[[Axes, Any], None], Any]] = {
        "latency.png": (_latency, samples.get("latency")),
        "throughput.png": (_throughput, samples.get("throughput")),
    }
    drawn = []
    for name, (paint, values) in pictures.items():
        if values:
            figure, axes = pyplot.subplots(figsize=SIZE, layout="constrained")
            paint(axes, values)
            axes.grid(alpha=0.3)
            figure.legend(fontsize="small", loc="outside lower center", ncols=2)
            figure.savefig(folder / name, dpi=RESOLUTION)
            pyplot.close(figure)
            drawn.append(folder / name)
    return drawn


def _latency(axes: Axes, samples: dict[str, list[float]]) -> None:
    for name, values in samples.items():
        ordered = sorted(values)
        shares = [(number + 1) / len(ordered) for number in range(len(ordered))]
        axes.step(ordered, shares, where="post", label=name)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from submit to recorded outcome, one in flight")
    axes.set_ylabel("share of executions that took at most so long")


def _throughput(axes: Axes, curves: dict[str, dict[int, float]]) -> None:
    for name, rates in curves.items():
        axes.plot(list(rates), list(rates.values()), marker="o", label=name)
    levels = sorted({level for rates in curves.values() for level in rates})
    axes.set_xscale("log", base=2)
    axes.set_xticks(levels, [str(level) for level in levels])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("clients in a closed loop")
    axes.set_ylabel("executions a second, sustained")
