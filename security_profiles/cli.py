"""The command `python -m security_profiles`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from security_profiles.errors import ProfileError
from security_profiles.files import differing_files, write_agent_profile, write_rendered
from security_profiles.profiles import DEFAULT_PROFILE, PROFILE_NAMES

_EXAMPLES = """\
examples:
  python -m security_profiles render
      write the committed files again after a change of the data
  python -m security_profiles render --check
      exit 1 and name each file that is not what the data says (for CI)
  python -m security_profiles render --agent-id mailer --profile standard \\
      --allow io_setup --block mq_open --directory PROFILES
      write PROFILES/mailer-standard.json; then:
      docker run --security-opt seccomp=PROFILES/mailer-standard.json ...
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 for success, 1 for a difference, 2 for a refused request."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        return _render(parser, arguments)
    except ProfileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m security_profiles",
        description="Seccomp and AppArmor profiles of the sandboxes, rendered from Python data.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser(
        "render",
        help="write profile files, or check the committed ones",
        description="Without options: write the committed files again.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    render.add_argument("--check", action="store_true", help="write nothing; exit 1 on a diff")
    _add_agent_options(render.add_argument_group("one file for one agent"))
    return parser


def _add_agent_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--agent-id", metavar="ID", help="a-z, 0-9 and '-', at most 63")
    group.add_argument(
        "--profile",
        metavar="NAME",
        default=None,
        help=f"{', '.join(PROFILE_NAMES)} (default: {DEFAULT_PROFILE})",
    )
    group.add_argument(
        "--allow",
        metavar="SYSCALL",
        action="append",
        default=[],
        help="also let this system call through; may be given again",
    )
    group.add_argument(
        "--block",
        metavar="SYSCALL",
        action="append",
        default=[],
        help="refuse this system call; may be given again; wins over --allow",
    )
    group.add_argument(
        "--directory", metavar="DIR", type=Path, help="where to; must not be world-writable"
    )


def _render(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.agent_id is not None:
        return _render_agent(parser, arguments)
    if arguments.profile or arguments.allow or arguments.block or arguments.directory:
        parser.error("--profile, --allow, --block and --directory need --agent-id")
    if arguments.check:
        return _check()
    for path in write_rendered():
        print(f"wrote {path}")
    return 0


def _render_agent(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.directory is None:
        parser.error("--agent-id needs --directory")
    if arguments.check:
        parser.error("--check compares the committed files and takes no --agent-id")
    path = write_agent_profile(
        agent_id=arguments.agent_id,
        profile_name=arguments.profile or DEFAULT_PROFILE,
        directory=arguments.directory,
        allowed_syscalls=arguments.allow,
        blocked_syscalls=arguments.block,
    )
    print(f"wrote {path}")
    return 0


def _check() -> int:
    differing = differing_files()
    for path in differing:
        print(f"{path} differs: run `python -m security_profiles render`", file=sys.stderr)
    return 1 if differing else 0
