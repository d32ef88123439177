"""What each of the three commands does, and what it found."""

from dataclasses import dataclass

from worker.full_network_rules import host, judging, rules, tables
from worker.full_network_rules.errors import NotHereError
from worker.sandbox.full_network import BRIDGE


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a command found.

    ok: whether all is as it should be.
    problems, notes: one line each.
    name_servers: addresses that stay reachable on port 53.
    """

    command: str
    ok: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    name_servers: tuple[str, ...] = ()


def apply(chosen: list[str]) -> Told:
    """Bring the rules in force; `chosen` name servers stand instead of the host's own.

    Raises FullNetworkRulesError.
    """
    own = [host.checked_name_server(text) for text in chosen] or host.name_servers()
    version4, version6 = tables.ipv4_tables(), tables.ipv6_tables()
    if "DOCKER-USER" not in version4.read():
        raise NotHereError(
            "iptables has no chain DOCKER-USER here, so that no Docker engine reads it: start "
            "Docker first (without `iptables: false`; its nftables backend is not supported), or "
            "run this on the host where the engine runs"
        )
    version4.change(rules.ipv4(name_servers=own), rules.render_apply)
    if version6 is not None:
        version6.change(rules.ipv6(), rules.render_apply)
    return check("apply")  # believes nothing but what it reads


def check(command: str = "check") -> Told:
    """Look at what is in force. Raises FullNetworkRulesError."""
    version4, version6 = tables.ipv4_tables(), tables.ipv6_tables()
    saved = version4.read()
    problems, notes = judging.problems(rules.ipv4(), saved), []
    if version6 is None:
        notes.append("IPv6: this host has none, or no ip6tables; the network has none either")
    else:
        problems += [f"IPv6: {text}" for text in judging.problems(rules.ipv6(), version6.read())]
    if not host.bridge_is_there(BRIDGE):
        notes.append(f"there is no {BRIDGE} yet: the first sandbox with full access makes it")
    elif not host.bridged_packets_pass():
        problems.append(
            "what one sandbox sends another does not pass iptables: run `modprobe br_netfilter`, "
            "then `sysctl net.bridge.bridge-nf-call-iptables=1`"
        )
    return Told(
        command=command,
        ok=not problems,
        problems=tuple(problems),
        notes=tuple(notes),
        name_servers=tuple(judging.open_name_servers(rules.ipv4(), saved)),
    )


def remove() -> Told:
    """Take the rules away. Raises FullNetworkRulesError."""
    removed = tables.ipv4_tables().change(rules.ipv4(), rules.render_remove)
    version6 = tables.ipv6_tables()
    if version6 is not None:
        removed |= version6.change(rules.ipv6(), rules.render_remove)
    note = f"removed: what is on {BRIDGE} reaches this host" if removed else "there were none"
    return Told(command="remove", ok=True, notes=(note,))
