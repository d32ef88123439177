"""The command `python -m security_profiles`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from security_profiles.directory import check_directory
from security_profiles.errors import ProfileError
from security_profiles.files import (
    DIRECTORY_VARIABLE,
    RENDERED_DIRECTORY,
    default_directory,
    write_agent_profile,
    write_rendered,
)
from security_profiles.loading import load_apparmor
from security_profiles.profiles import DEFAULT_PROFILE, PROFILE_NAMES

_EXAMPLES = f"""\
examples:
  python -m security_profiles render
      write the committed files again after a change of the data
  python -m security_profiles render --directory PROFILES
      write the same files into the profile directory of a deployment
  python -m security_profiles render --check
      exit 1 and say what is wrong with each file that is not what the data says (for CI)
  python -m security_profiles render --agent-id mailer --profile standard \\
      --allow io_setup --block mq_open --directory PROFILES
      write PROFILES/mailer-standard.json; then:
      docker run --security-opt seccomp=PROFILES/mailer-standard.json ...

{DIRECTORY_VARIABLE} in the environment is the default of --directory.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 for success, 1 for a failed check, 2 for a refused request."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "load":
            return _load()
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
        help="write profile files, or check them",
        description="Without options: write the committed files again.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    render.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 and name every problem"
    )
    render.add_argument(
        "--directory",
        metavar="DIR",
        type=Path,
        default=None,
        help=f"where the files are (default: ${DIRECTORY_VARIABLE}, else the committed ones); "
        "must not be world-writable",
    )
    _add_agent_options(render.add_argument_group("one file for one agent"))
    commands.add_parser(
        "load",
        help="load the AppArmor profiles into the kernel (as root)",
        description="Load every AppArmor profile with `apparmor_parser -r`. Needs root, the "
        "package `apparmor`, and a kernel that enforces AppArmor; says which of them is missing.",
    )
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
        "--permit",
        metavar="SYSCALL",
        action="append",
        default=[],
        help="take --allow for this dangerous call too, as AGENTCORE_EXTRA_SYSCALLS does in a "
        "request; may be given again",
    )


def _render(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    named: Path | None = arguments.directory or default_directory()
    if arguments.agent_id is not None:
        return _render_agent(parser, arguments, named)
    if arguments.profile or arguments.allow or arguments.block or arguments.permit:
        parser.error("--profile, --allow, --block and --permit need --agent-id")
    directory = named or RENDERED_DIRECTORY
    if arguments.check:
        return _check(directory)
    for path in write_rendered(directory):
        print(f"wrote {path}")
    return 0


def _render_agent(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, directory: Path | None
) -> int:
    if directory is None:
        parser.error(f"--agent-id needs --directory or {DIRECTORY_VARIABLE}")
    if arguments.check:
        parser.error("--check looks at a whole directory and takes no --agent-id")
    path = write_agent_profile(
        agent_id=arguments.agent_id,
        profile_name=arguments.profile or DEFAULT_PROFILE,
        directory=directory,
        allowed_syscalls=arguments.allow,
        blocked_syscalls=arguments.block,
        permitted=arguments.permit,
    )
    print(f"wrote {path}")
    return 0


def _check(directory: Path) -> int:
    problems = check_directory(directory)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _load() -> int:
    for name in load_apparmor():
        print(f"loaded {name}")
    return 0
