"""`python -m worker`: its commands; the long ones are in worker/processes.py."""

import argparse
import os
import sys
from collections.abc import Sequence

from celery import signals

from models import telemetry
from models.errors import SettingsError
from models.logs import configure_logging
from models.process import raise_descriptor_limit
from models.settings import load_settings
from worker import processes

COMMANDS = {
    "run": "run executions in sandboxes (needs a container engine)",
    "control": "accept agentcore.run, sweep and age out; short work, no container engine",
    "beat": "send the periodic tasks",
    "flower": "the web view of workers and tasks, on loopback",
}
FULL_NETWORK, EGRESS_PROXY = "full-network", "egress-proxy"
ON_THEIR_OWN = {  # they need no settings, and read their own options
    FULL_NETWORK: "this host's firewall rules for sandboxes with `full` network access (root)",
    EGRESS_PROXY: "the egress proxy by itself, for a pod",
}
AUDIT = "security-audit"
AUDIT_HELP = "what defends this host, what does not, and what to do about it"
AUDIT_TEXT = """\
Looks at the Docker daemon, AppArmor, seccomp, capabilities, file permissions and profile files,
and starts a sandbox under each enabled profile to read off it what is in force. Changes nothing.
Needs neither database nor broker. Run it as the worker's user; as root it sees a little more.
"""
AUDIT_END = """\
verdicts:
  ✓  enforced
  ⚠  not enforceable on this host, or not looked at; the line below says what to do
  ✗  misconfigured: it could be in force, or the settings require it

exit code: 0 when nothing is misconfigured, 1 when something is, 2 for wrong options or settings
"""
SETTINGS = "settings"
SETTINGS_HELP = "check the settings and start nothing; exit code 2 when one is wrong"


def main(argv: Sequence[str] | None = None) -> int:
    """Start the process that the first argument names; return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == [FULL_NETWORK]:
        from worker.full_network_rules import command

        return command.main(words[1:])
    if words[:1] == [EGRESS_PROXY]:
        from worker.sandbox.egress import sidecar

        return sidecar.main(words[1:], f"python -m worker {EGRESS_PROXY}")
    arguments = _parser().parse_args(words)
    if arguments.command == AUDIT:
        _stand_in_for_services()
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    configure_logging(settings)
    if arguments.command == AUDIT:
        from worker.security_audit.command import run

        return run(settings, as_json=arguments.json)
    raise_descriptor_limit()
    # Ours is set already; this keeps Celery from adding its own handlers.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    start = {
        "run": processes.run,
        "control": processes.control,
        "beat": processes.beat,
        "flower": processes.flower,
        SETTINGS: processes.check_settings,
    }
    try:
        name = "worker" if arguments.command == "run" else arguments.command
        telemetry.configure(f"agentcore-{name}")
        return start[arguments.command]() or 0
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Settings come from the environment: AGENTCORE_DATABASE_URL and "
        "AGENTCORE_BROKER_URL at least; see the README.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, description=text)
    for name, text in ON_THEIR_OWN.items():
        commands.add_parser(name, help=text, add_help=False)
    commands.add_parser(SETTINGS, help=SETTINGS_HELP, description=SETTINGS_HELP)
    audit = commands.add_parser(
        AUDIT,
        help=AUDIT_HELP,
        description=AUDIT_TEXT,
        epilog=AUDIT_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit.add_argument("--json", action="store_true", help="JSON on standard output, for programs")
    return parser


def _stand_in_for_services() -> None:
    """Let the settings load where the two services are not configured: the audit uses neither."""
    for name in ("AGENTCORE_DATABASE_URL", "AGENTCORE_BROKER_URL"):
        if f"{name}_FILE" not in os.environ:
            os.environ.setdefault(name, "unused://")


if __name__ == "__main__":
    sys.exit(main())
