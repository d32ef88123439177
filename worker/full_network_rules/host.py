"""What the rules depend on of this host, apart from its tables."""

import socket
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from worker.full_network_rules.errors import NameServerError

# 1: what one sandbox sends to another on the bridge passes iptables. Docker sets it.
BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
# Where Docker looks for the host's name servers; the second is systemd-resolved's own list.
RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def name_servers(files: tuple[Path, ...] = RESOLVER_FILES) -> list[str]:
    """Return the IPv4 name servers to which Docker forwards what sandboxes ask.

    Those on loopback it asks from the host itself: no rule of ours meets them.
    """
    words = (line.split() for file in files for line in _lines(file))
    found = [entry[1] for entry in words if len(entry) > 1 and entry[0] == "nameserver"]
    return [address for address in dict.fromkeys(found) if _is_remote(address)]


def checked_name_server(text: str) -> str:
    """Return the address as iptables writes it. Raises NameServerError."""
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise NameServerError(f"{text!r} is no IPv4 address of a name server") from error


def bridge_is_there(bridge: str) -> bool:
    """Whether the host has this interface."""
    return bridge in (name for _, name in socket.if_nameindex())


def bridged_packets_pass(switch: Path = BRIDGED) -> bool:
    """Whether packets between two sandboxes on the bridge come to the rules."""
    try:
        return switch.read_text().strip() == "1"
    except OSError:
        return False


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _is_remote(text: str) -> bool:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
