"""`python -m worker full-network`: the host's rules for sandboxes with `full` network access."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from worker.full_network_rules import work
from worker.full_network_rules.errors import FullNetworkRulesError
from worker.full_network_rules.work import Told
from worker.sandbox.full_network import BRIDGE, NETWORK

REFUSED = 2  # exit code, as for wrong options
DESCRIPTION = f"""\
A sandbox with `full` network access is on the Docker network {NETWORK}, the
interface {BRIDGE} of this host, and may reach whatever this host routes to. These
rules close to it: this host itself (every port of every address), what this host redirects
or publishes for others, the metadata services of clouds, link-local, multicast and broadcast
addresses, other sandboxes, and IPv6.

  apply    bring the rules in force; again when name servers or the firewall have changed
  check    say what is missing or changed, if anything
  remove   take the rules away; sandboxes reach this host again

Run it as root on each host whose Docker engine runs sandboxes. Nothing but iptables is changed,
and there only chains of our own and one rule that leads to each. A restart of Docker keeps them.
"""
EPILOG = """\
examples:
  sudo .venv/bin/python -m worker full-network apply
  sudo .venv/bin/python -m worker full-network check --json
  sudo .venv/bin/python -m worker full-network apply --name-server 169.254.169.253

A reboot forgets the rules. For systemd, in /etc/systemd/system/agentcore-full-network.service:
  [Unit]
  After=docker.service
  Requires=docker.service
  [Service]
  Type=oneshot
  WorkingDirectory=/opt/agentcore
  ExecStart=/opt/agentcore/.venv/bin/python -m worker full-network apply
  [Install]
  WantedBy=multi-user.target
then: systemctl enable --now agentcore-full-network
Whatever else flushes the firewall (iptables -F, a reload of firewalld) forgets them, too.

Name servers: Docker forwards what a sandbox asks from inside the sandbox. So the IPv4 name servers
in this host's resolv.conf stay reachable, on port 53 alone, also where they are closed otherwise
(as 169.254.169.254 on Google Cloud). Name them yourself where the engine has others ("dns" in
daemon.json).

exit code: 0 done, or all in force; 1 check found something; 2 it cannot be done here, or wrong
options
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        told, code = _do(arguments), None
    except FullNetworkRulesError as error:
        told, code = Told(command=arguments.command, ok=False, problems=(str(error),)), REFUSED
    if arguments.json:
        print(json.dumps(asdict(told), indent=2))
    else:
        _tell(told, code)
    return code or (0 if told.ok else 1)


def _do(arguments: argparse.Namespace) -> Told:
    if arguments.command == "apply":
        return work.apply(arguments.name_server)
    return work.check() if arguments.command == "check" else work.remove()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker full-network",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "apply": "bring the rules in force",
        "check": "say what is missing or changed; changes nothing",
        "remove": "take the rules away",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=f"{text}; needs root")
        command.add_argument("--json", action="store_true", help="JSON on standard output")
        if name == "apply":
            command.add_argument(
                "--name-server",
                metavar="ADDRESS",
                action="append",
                default=[],
                help="IPv4 address that stays reachable on port 53, instead of those in "
                "resolv.conf; may be given again",
            )
    return parser


def _tell(told: Told, code: int | None) -> None:
    for text in told.problems:
        print(f"error: {text}", file=sys.stderr)
    if told.problems and code is None:
        print("`apply` brings the rules in force; --help says more", file=sys.stderr)
    for text in told.notes:
        print(text)
    for address in told.name_servers:
        print(f"name server {address}: reachable on port 53")
    if told.ok and told.command != "remove":
        print(f"in force: this host, metadata services and neighbours are closed to {BRIDGE}")
