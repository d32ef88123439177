"""The proxy by itself, beside a program in a pod: one gate, decisions as JSON lines."""

import argparse
import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from worker.sandbox.egress.control import prepare_process
from worker.sandbox.egress.decisions import Report
from worker.sandbox.egress.gate import ServedGate
from worker.sandbox.egress.hangup import HangupWatch
from worker.sandbox.egress.limits import MOST, Limits
from worker.sandbox.egress.places import BACKLOG
from worker.sandbox.egress.policy import Policy
from worker.sandbox.egress.printer import Printer
from worker.sandbox.egress.resolver import Resolver

REPORT_SECONDS = 1.0  # between two looks for decisions to print
LIMITS = {
    "max_requests": "connections and plain HTTP requests in the proxy's life (default: no limit)",
    "max_connections": "connections to the outside at once",
    "max_bytes_up": "bytes sent out in the proxy's life (default: no limit)",
    "max_bytes_down": "bytes taken in in the proxy's life (default: no limit)",
    "resolve_seconds": "for one look-up of a name",
    "connect_seconds": "for one connection, over all addresses of a name",
    "idle_seconds": "that a connection may be silent in both directions",
    "header_seconds": "for the head of a request, or a TLS client's first message",
    "accept_rate": "connections and requests taken in one second; more wait",
}
# A proxy by itself may run for months; a gate of a worker lasts one execution.
UNLIMITED = {"max_requests": None, "max_bytes_up": MOST, "max_bytes_down": MOST}
DESCRIPTION = """\
An HTTP (CONNECT and http:// URLs) and SOCKS5 proxy that lets through what --allow names and
nothing else. Private, loopback, link-local, metadata and other addresses of special use are refused
even for an allowed name, unless an allowed CIDR block lies within theirs.
"""
END = """\
hosts:
  api.example.com, *.example.com (not example.com itself), 192.0.2.7, 10.0.0.0/8, 2001:db8::/32;
  each with :PORT (IPv6 in brackets) for one port, and else ports 80 and 443

output:
  a JSON line when it listens, one for each decision, one with what is left out when there are
  more than a hundred in a second, and the totals at the end

in Kubernetes:
  Set HTTP_PROXY, HTTPS_PROXY and ALL_PROXY of the program to http://ADDRESS:PORT. Containers of
  one pod share its network, so beside the program the proxy is a convention and no wall, unless
  firewall rules by user let out the proxy's user alone. For a wall, run it in a pod of its own
  with --any-interface, and give the program's pod a NetworkPolicy that lets it reach nothing else.

exit code: 0 after SIGTERM or SIGINT, 1 when it cannot listen, 2 for wrong options
"""


def main(argv: Sequence[str] | None, prog: str) -> int:
    """Run until a signal ends it; return the exit code."""
    parser = _parser(prog)
    options = parser.parse_args(argv)
    try:
        # Who starts the proxy is its operator: what is allowed is the ceiling, too.
        policy = Policy.parsed(options.allow, ceiling=options.allow, denied=options.deny)
        limits = Limits(**{name: getattr(options, name) for name in LIMITS})
        listener = _listen(options.listen, any_interface=options.any_interface)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        words = os.strerror(error.errno or 0)
        print(f"error: cannot listen on {options.listen}: {words}", file=sys.stderr)
        return 1
    prepare_process()
    try:
        asyncio.run(_serve(listener, policy, limits))
    finally:
        if listener.family == socket.AF_UNIX:
            Path(options.listen).unlink(missing_ok=True)
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=DESCRIPTION,
        epilog=END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--listen",
        required=True,
        metavar="PATH|ADDRESS:PORT",
        help="a Unix socket's path (with a '/' in it), or a loopback address and port",
    )
    parser.add_argument("--any-interface", action="store_true", help="listen beyond loopback, too")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="HOST", help="may be given many times"
    )
    parser.add_argument(
        "--deny", action="append", default=[], metavar="HOST", help="wins over --allow"
    )
    group = parser.add_argument_group("limits")
    defaults = {field.name: field.default for field in fields(Limits)} | UNLIMITED
    for name, text in LIMITS.items():
        default = defaults[name]
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=float if isinstance(default, float) else int,
            default=default,
            metavar="N",
            help=text if name in UNLIMITED else f"{text} (default: {default:g})",
        )
    return parser


def _listen(place: str, *, any_interface: bool) -> socket.socket:
    """Return a listening socket. Raises ValueError for a place that is not allowed, or OSError."""
    if "/" in place:
        return _listen_on_path(Path(place))
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError("--listen takes a path with a '/', or ADDRESS:PORT")
    address = ip_address(host.removeprefix("[").removesuffix("]"))
    if not address.is_loopback and not any_interface:
        raise ValueError(f"{address} is no loopback address; --any-interface allows it")
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return socket.create_server((str(address), int(port)), family=family, backlog=BACKLOG)


def _listen_on_path(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        # Its directory says who may come here: users of containers in one pod differ.
        path.chmod(0o666)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(listener: socket.socket, policy: Policy, limits: Limits) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    hangups, printer = HangupWatch(), Printer()
    gate = ServedGate(listener, policy, limits, resolver=Resolver(), hangups=hangups)
    printer.offer([{"event": "listening", "address": listener.getsockname()}])
    while not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), REPORT_SECONDS)
        if printer.is_free():
            printer.offer(_lines(gate.report()))
    last = await gate.close()
    hangups.close()
    printer.finish([*_lines(last), {"event": "totals", **gate.totals()}])


def _lines(report: Report) -> list[dict[str, Any]]:
    lines = [{"event": "decision", **decision} for decision in report.as_json()["decisions"]]
    if report.more:
        hosts = dict(report.more_hosts)
        lines.append({"event": "more_decisions", "reasons": dict(report.more), "hosts": hosts})
    return lines
