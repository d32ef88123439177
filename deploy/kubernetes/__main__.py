"""`python -m deploy.kubernetes`: keeps the manifests' generated files, and lets checkov look."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deploy.entry import run_main
from deploy.kubernetes import files


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0 for success, 1 for a failed check."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "checkov":
        return _checkov()
    return _check() if arguments.check else _generate()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.kubernetes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    text = "write the files that are made from others"
    generate = commands.add_parser("generate", help=text, description=text)
    generate.add_argument("--check", action="store_true", help="write nothing; exit 1 on a change")
    text = "scan what the overlays render to; every finding must be in checkov/accepted.toml"
    commands.add_parser("checkov", help=text, description=text)
    return parser


def _generate() -> int:
    for path in files.write():
        print(f"wrote {path.relative_to(files.ROOT)}")
    return 0


def _check() -> int:
    for path in (outdated := files.outdated()):
        name = path.relative_to(files.ROOT)
        print(f"{name}: run `python -m deploy.kubernetes generate`", file=sys.stderr)
    return 1 if outdated else 0


def _checkov() -> int:
    from deploy.kubernetes import accepted, scanning

    found = scanning.scan()
    problems = accepted.judge(found, accepted.read_list())
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"checkov: {len(found)} findings, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(run_main(main))
