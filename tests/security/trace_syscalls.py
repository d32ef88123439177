"""Measures which system calls Python programs make, against what the profiles let through.

    .venv/bin/python -m tests.security.trace_syscalls

Runs the programs of this folder outside of any sandbox under strace, in a throwaway environment
under build/ that holds numpy, pandas and requests, and prints three tables: calls that a program
made and a profile refuses; calls that a profile lets through and no program made, with the reason
why they are there; the same for the values of arguments. A developer's tool for sizing
`security_profiles/groups.py` and `conditional.py`; nothing in the product imports it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.security.programs import libraries, ordinary
from tests.security.trace_report import CONDITIONAL, Call, print_refused, print_unseen

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
PACKAGES = ("numpy", "pandas", "requests")
TIMEOUT = 180  # seconds for one program; strace makes each call some ten times slower

# One line of strace: "PID name(0x3, 0, 0x1000 <unfinished ...>" or "...) = 0x1".
LINE = re.compile(r"^\d+\s+(\w+)\(([^)<]*)")


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program to trace, and the tightest profile that must let it run."""

    name: str
    argv: tuple[str, ...]
    profile: str


def main() -> int:
    """Trace and print the tables; return 1 if a call is refused that should not be, else 0."""
    options = _options()
    if shutil.which("strace") is None:
        print("error: strace is missing: run `apt-get install strace`", file=sys.stderr)
        return 2
    python = _environment(options.python)
    seen: dict[str, dict[Call, str]] = {"minimal": {}, "standard": {}}
    for program in _programs(str(python)):
        print(f"tracing {program.name}", file=sys.stderr)
        calls = _trace(program)
        for profile in ("minimal", "standard") if program.profile == "minimal" else ("standard",):
            for call in calls:
                seen[profile].setdefault(call, program.name)
    surprises = [print_refused(profile, calls) for profile, calls in seen.items()]
    for profile, calls in seen.items():
        print_unseen(profile, calls)
    return 1 if any(surprises) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.security.trace_syscalls",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Needs strace (Debian: apt-get install strace) and a package index, once.",
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter to trace, 3.11 or newer (default: this one)",
    )
    return parser.parse_args()


def _environment(python: str) -> Path:
    """The Python of the throwaway environment for `python`, made if it is not there."""
    asked = [python, "-c", "import sys; print(sys.implementation.cache_tag)"]
    tag = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    folder = ROOT / "build" / f"trace-{tag}"
    inner = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(inner), "-m", "pip", "install", "-q", *PACKAGES], check=True)
        (folder / "complete").touch()
    return inner


def _programs(python: str) -> Iterator[Program]:
    for module in (ordinary, libraries):
        for profile, cases in (("minimal", module.CASES), ("standard", module.STANDARD_CASES)):
            for name in cases:
                file = str(PROGRAMS / f"{module.__name__.rpartition('.')[2]}.py")
                yield Program(name=name, argv=(python, "-B", file, name), profile=profile)


def _trace(program: Program) -> set[Call]:
    """The calls of the program and all its children. Raises CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as logs:
        log = Path(logs, "log")
        flags = ("-f", "-qq", "-e", "signal=none", "-e", "raw=all", "-o", str(log))
        subprocess.run(
            ["strace", *flags, "--", *program.argv],
            check=True,
            cwd=home,
            env={**os.environ, "HOME": home},
            timeout=TIMEOUT,
            stdout=subprocess.DEVNULL,
        )
        with log.open() as lines:
            return {call for line in lines if (call := _call(line)) is not None}


def _call(line: str) -> Call | None:
    match = LINE.match(line)
    if match is None:
        return None
    name, text = match.groups()
    if name not in CONDITIONAL:
        return Call(name)
    values = [int(value, 0) for value in text.replace(",", " ").split()]
    watched = CONDITIONAL[name]
    return Call(name, tuple(v if i in watched else 0 for i, v in enumerate(values)))


if __name__ == "__main__":
    sys.exit(main())
