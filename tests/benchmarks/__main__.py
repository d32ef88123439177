"""Measures what things cost, each beside what it is compared with, in one run.

The processes are real (PostgreSQL, Valkey, API, worker, control, beat, containers), in a folder of
their own that is gone afterwards. The machine should have nothing else to do: `load_before` in
the result says whether it had. Nothing is asserted about time.
"""

import argparse
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import plots, report
from tests.benchmarks.parts import PARTS
from tests.benchmarks.rows import Row, unmeasured
from tests.benchmarks.scene import FOLDER, Scene
from tests.benchmarks.subjects import Subjects

EXAMPLES = """\
examples:
  python -m tests.benchmarks                           everything, some minutes
  python -m tests.benchmarks --quick                   everything, few of each: does it work?
  python -m tests.benchmarks --only latency load       these parts
"""


def main() -> int:
    """Run the chosen parts; returns 1 when one failed."""
    arguments = _arguments()
    begun = time.monotonic()
    facts = report.machine() | {"quick": arguments.quick}
    with tempfile.TemporaryDirectory(prefix="agentcore-bench-") as folder:
        scene = Scene(Path(folder), quick=arguments.quick)
        with scene.ends:
            rows, failed, facts["seconds_of_parts"] = _measure(scene, arguments.only or list(PARTS))
    facts["seconds"] = round(time.monotonic() - begun)
    facts["failed"] = failed
    report.print_table(rows)
    print()
    if not arguments.quick:
        report.print_targets(rows)
    path = report.write(arguments.output, facts, rows, scene.samples)
    pictures = plots.draw(arguments.output, scene.samples)
    parts = ", ".join(f"{name} {seconds}" for name, seconds in facts["seconds_of_parts"].items())
    print(f"\n{facts['seconds']} s ({parts}); written to", path, *pictures)
    if failed:
        print(f"failed, or did not run: {', '.join(failed)}")
    return 1 if failed else 0


def _measure(scene: Scene, names: list[str]) -> tuple[list[Row], list[str], dict[str, int]]:
    """Return the rows of the parts, which of them failed, and the seconds that each took."""
    subjects = Subjects(scene)
    rows: list[Row] = []
    failed: list[str] = []
    took: dict[str, int] = {}
    for name in names:
        scene.begin(name)
        begun = time.monotonic()
        try:
            found = PARTS[name].rows(scene, subjects)
        except KeyboardInterrupt:
            print("interrupted: what was measured before is reported", flush=True)
            return rows, [*failed, *names[names.index(name) :]], took
        except Exception as error:
            # Whatever it is: the figures of the other parts are not to be lost with it.
            traceback.print_exc()
            failed.append(name)
            found = [unmeasured(name, "", f"{type(error).__name__}: {error}"[:600])]
        rows += [replace(row, part=name) for row in found]
        took[name] = round(time.monotonic() - begun)
    return rows, failed, took


def _arguments() -> argparse.Namespace:
    indent = "\n" + " " * 14
    parts = "\n".join(
        f"  {name:12}{part.about.replace(chr(10), indent)}" for name, part in PARTS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        epilog=f"parts:\n{parts}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help="see below")
    parser.add_argument("--quick", action="store_true", help="few of each")
    parser.add_argument(
        "--output", type=Path, default=FOLDER, help="folder of the results (build/bench)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
