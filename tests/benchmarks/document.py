"""`python -m tests.benchmarks.document`: the tables of docs/performance.md from the last run.

Each table stands between `<!-- bench:PART -->` and `<!-- /bench -->`; `machine` and `targets` are
of the whole run. A part that did not run keeps the table that it has.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.report import FILE_NAME
from tests.benchmarks.rows import Row
from tests.benchmarks.scene import FOLDER
from tests.benchmarks.targets import judged
from tests.harness import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
PLACE = re.compile(r"(<!-- bench:(\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
WHOLE_RUN = ("machine", "targets")
Split = Callable[[str], tuple[str, str]]  # from a row's name to its column and its line


def documented(text: str, facts: dict[str, Any], rows: Sequence[Row]) -> str:
    """Return `text` with the tables of those parts that have rows."""

    def table(match: re.Match[str]) -> str:
        part = match[2]
        own = [row for row in rows if row.part == part]
        if part not in WHOLE_RUN and not own:
            return match[0]
        lines = {
            "machine": lambda: _machine(facts),
            "targets": lambda: _targets(rows),
            "steps": lambda: _beside(own, _first_is_column),
            "processors": lambda: _beside(own, _first_is_column),
            "memory": lambda: _beside(own, _first_is_column),
            "store": lambda: _store(own),
        }
        made = lines.get(part, lambda: _table(own))()
        return match[1] + "".join(f"{line}\n" for line in made) + match[3]

    return PLACE.sub(table, text)


def refusal(facts: dict[str, Any]) -> str | None:
    """Return why a run is not for the document, or None."""
    if facts["quick"]:
        return "is of a quick run, which only shows that the suite works"
    if facts["commit"] is None or facts["commit"].endswith("-dirty"):
        return "is of no commit, so nobody could measure the same again"
    if facts.get("failed"):
        return f"lacks what failed: {', '.join(facts['failed'])}"
    return None


def _machine(facts: dict[str, Any]) -> list[str]:
    busy = facts["load_before"] > facts["cores"] / 2
    remark = " The machine was busy: read these as upper bounds of its times." if busy else ""
    return [
        f"{facts['cores']} cores ({facts['cpu']}), {facts['memory_mib']} MiB, Linux "
        f"{facts['kernel']}, Docker {facts['docker']} ({facts['runtime']}, "
        f"{facts['storage_driver']}, cgroup {facts['cgroup']}), Python {facts['python']}; "
        f"load before {facts['load_before']}; commit {facts['commit']}; "
        f"{facts['seconds']} s.{remark}"
    ]


def _targets(rows: Sequence[Row]) -> list[str]:
    lines = ["| what | promised | measured | kept |", "|---|---|---|---|"]
    for what, promise, figure, is_kept in judged(rows):
        lines.append(f"| {what} | {promise} | {figure} | {'yes' if is_kept else 'no'} |")
    return lines


def _table(rows: Sequence[Row]) -> list[str]:
    lines = ["| what | unit | median | p95 | p99 | n | ratio |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        figures = [_shown(value) for value in (row.median, row.p95, row.p99)]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        name = f"{row.name} ({row.note})" if row.note else row.name
        lines.append(f"| {name} | {row.unit} | {' | '.join(figures)} | {row.n} | {ratio} |")
    return lines


def _store(rows: Sequence[Row]) -> list[str]:
    """Return a table of what grows with what is stored, and one of what grows with the queue."""
    stored = [row for row in rows if row.name.endswith(" stored")]
    queued = [row for row in rows if row.name.endswith(" queued")]
    tables = [_beside(some, _last_is_column) for some in (stored, queued) if some]
    return "\n\n".join("\n".join(table) for table in tables).split("\n") if tables else _table(rows)


def _beside(rows: Sequence[Row], split: Split) -> list[str]:
    """Return a table with several rows of a kind beside each other, as median and p95."""
    columns: dict[str, dict[str, Row]] = {}
    for row in rows:
        column, line = split(row.name)
        columns.setdefault(column, {})[line] = row
    # In the order of the column that has the most.
    longest = sorted(columns.values(), key=len, reverse=True)
    lines = list(dict.fromkeys(line for column in longest for line in column))
    table = [
        f"| median / p95, {rows[0].unit} | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for line in lines:
        cells = [_cell(column.get(line)) for column in columns.values()]
        table.append(f"| {line} | {' | '.join(cells)} |")
    return table


def _first_is_column(name: str) -> tuple[str, str]:
    column, _, line = name.partition(": ")
    return column, line


def _last_is_column(name: str) -> tuple[str, str]:
    line, _, column = name.rpartition(", ")
    return column, line


def _cell(row: Row | None) -> str:
    if row is None or row.median is None:
        return "" if row is None else str(row.note)
    return _shown(row.median) if row.n == 1 else f"{_shown(row.median)} / {_shown(row.p95)}"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def main() -> int:
    """Write the document; returns 1 when there is no run to write it from."""
    path = FOLDER / FILE_NAME
    if not path.exists():
        print(f"error: no {path}; run `make bench` first", file=sys.stderr)
        return 1
    run = json.loads(path.read_text())
    if why := refusal(run["machine"]):
        print(f"error: {path} {why}; nothing was written", file=sys.stderr)
        return 1
    rows = [Row(**row) for row in run["rows"]]
    DOCUMENT.write_text(documented(DOCUMENT.read_text(), run["machine"], rows))
    print(f"written: {DOCUMENT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
