"""Where the rows go: a table for people, a JSON file for programs."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from tests.benchmarks.rows import Row
from tests.benchmarks.targets import judged
from tests.harness import ROOT

FILE_NAME = "bench.json"


def machine() -> dict[str, Any]:
    """Return what a figure depends on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "memory_mib": pages // 1_048_576,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _commit(),
        **_engine(),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


def _commit() -> str | None:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _engine() -> dict[str, Any]:
    with suppress(DockerException):
        found = docker.from_env(timeout=10).info()
        return {
            "docker": found["ServerVersion"],
            "storage_driver": found["Driver"],
            "cgroup": f"v{found.get('CgroupVersion', '1')}, {found['CgroupDriver']}",
            "runtime": found["DefaultRuntime"],
        }
    return {"docker": None}


def write(folder: Path, facts: dict[str, Any], rows: Sequence[Row], samples: Any) -> Path:
    """Write the rows, and beside them the samples that are drawn; return the rows' file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    _write_json(path, {"machine": facts, "rows": [asdict(row) for row in rows]})
    _write_json(folder / "samples.json", samples)
    return path


def _write_json(path: Path, content: Any) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(content, indent=1) + "\n")
    fresh.replace(path)


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows, part by part."""
    for part, group in groupby(rows, lambda row: row.part):
        lines = [(f"  {row.name} [{row.unit}]", _figures(row)) for row in group]
        width = max(len(name) for name, _ in lines)
        print(f"\n{part:{width}}{'median':>10}{'p95':>10}{'p99':>10}{'n':>7}  ratio")
        for name, figures in lines:
            print(f"{name:{width}}{figures}")


def print_targets(rows: Sequence[Row]) -> None:
    """Print what was promised, as far as this run says something about it."""
    for what, promise, figure, is_kept in judged(rows):
        print(f"{'kept    ' if is_kept else 'NOT kept'}  {what}: {figure}, promised {promise}")


def _figures(row: Row) -> str:
    if row.median is None:
        return f" not measured: {row.note}"
    figures = "".join(f"{value:10.2f}" for value in (row.median, row.p95, row.p99))
    ratio = f"  {row.ratio:.2f} x {row.compared_with}" if row.ratio is not None else ""
    note = f"  ({row.note})" if row.note else ""
    return f"{figures}{row.n:7}{ratio}{note}"
