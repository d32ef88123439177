"""What the rules are, and what iptables-restore is told.

Rules are written as iptables-save writes them, so that the two can be compared.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from worker.sandbox.full_network import BRIDGE

CHAIN = "AGENTCORE-FULL"  # what sandboxes send through the host; names have 28 characters at most
HOST_SUFFIX = "-HOST"  # the chain for what they send to the host itself

# Closed, whatever the host knows a way to. Sources: each cloud's own documentation of the metadata
# that its virtual machines read, and the IANA registries (RFC 6890).
CLOSED = (
    # Link-local (RFC 3927). Metadata is at .169.254 on AWS, Google Cloud, Azure, Oracle Cloud,
    # DigitalOcean, Hetzner, Linode, Equinix Metal and OpenStack, at .170.2 and .170.23 for AWS
    # containers, at .0.23 on Tencent Cloud, at .42.42 on Scaleway.
    "169.254.0.0/16",
    "100.100.100.200/32",  # Alibaba Cloud, "Instance metadata" of ECS
    "168.63.129.16/32",  # Azure, "What is IP address 168.63.129.16?": the fabric (WireServer)
    "192.0.0.192/32",  # Oracle Cloud Infrastructure Classic, "Retrieving instance metadata"
    "224.0.0.0/4",  # multicast (RFC 5771)
    "255.255.255.255/32",  # broadcast on the own link (RFC 919)
)

# Prohibited, and not the default "port unreachable": the program is told at once that it is a
# firewall. The kernel sends one address six of these in a row, and then one a second.
_REFUSE = "-j REJECT --reject-with icmp-admin-prohibited"
# Resets are not limited: a program that tries on is told every time.
_RESET = "-p tcp -j REJECT --reject-with tcp-reset"
_REFUSE_IPV6 = "-j REJECT --reject-with icmp6-adm-prohibited"
# Connections that the host itself opened; not those that a sandbox had before the rules came.
_REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j RETURN"
# What the host sends elsewhere than it was addressed to: services that it publishes, and agents of
# clouds and clusters that answer in the place of a metadata service. A reset would get lost.
_REDIRECTED = f"-m conntrack --ctstate DNAT {_REFUSE}"

Saved = Mapping[str, tuple[str, ...]]
"""The filter table in force: each chain's rules, as iptables-save writes them after `-A CHAIN`."""


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """What one IP version's filter table is to hold.

    bridge: the interface that the rules are about.
    chains: our chains and their rules.
    jumps: where our chains are entered: another's chain, and the rule that stands in it.
    needed: rules of others without which packets do not come to ours.
    """

    bridge: str
    chains: Mapping[str, tuple[str, ...]]
    jumps: tuple[tuple[str, str], ...]
    needed: tuple[tuple[str, str], ...] = ()


def ipv4(bridge: str = BRIDGE, chain: str = CHAIN, *, name_servers: Iterable[str] = ()) -> Ruleset:
    """Return the rules for IPv4; `name_servers` (addresses) stay reachable on port 53."""
    excepted = [
        f"-d {address}/32 -p {protocol} -m {protocol} --dport 53 -j RETURN"
        for address in name_servers
        for protocol in ("udp", "tcp")
    ]
    # Docker's own rule against neighbours stands last, behind whatever else the host accepts.
    through = [*_refused(f"-o {bridge}"), *excepted, _REDIRECTED]
    through += [rule for block in CLOSED for rule in _refused(f"-d {block}")]
    return Ruleset(
        bridge=bridge,
        chains={chain + HOST_SUFFIX: (_REPLIES, *excepted, _REFUSE), chain: tuple(through)},
        jumps=(
            ("INPUT", f"-i {bridge} -j {chain}{HOST_SUFFIX}"),
            # Docker leaves this one chain to others, whatever it does to its own.
            ("DOCKER-USER", f"-i {bridge} -j {chain}"),
        ),
        needed=(("FORWARD", "-j DOCKER-USER"),),
    )


def _refused(match: str) -> tuple[str, str]:
    return f"{match} {_RESET}", f"{match} {_REFUSE}"


def ipv6(bridge: str = BRIDGE, chain: str = CHAIN) -> Ruleset:
    """Return the rules for IPv6, which the network does not have: all of it is refused."""
    return Ruleset(
        bridge=bridge,
        chains={chain: (_REFUSE_IPV6,)},
        # Docker may have no DOCKER-USER for IPv6, and accepts nothing from this network.
        jumps=tuple((point, f"-i {bridge} -j {chain}") for point in ("INPUT", "FORWARD")),
    )


def parse(text: str) -> Saved:
    """Return what iptables-save printed of the filter table."""
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(":"):
            chains.setdefault(line[1:].split(" ")[0], [])
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            chains.setdefault(chain, []).append(rule.strip())
    return {chain: tuple(rules) for chain, rules in chains.items()}


def render_apply(ruleset: Ruleset, saved: Saved) -> str:
    """Return what `iptables-restore --noflush` is told to bring the rules in force, in one go."""
    lines = [f":{chain} - [0:0]" for chain in ruleset.chains]  # makes it, or empties it
    lines += [f"-A {chain} {rule}" for chain, rules in ruleset.chains.items() for rule in rules]
    lines += _leave(ruleset, saved)
    lines += [f"-I {chain} 1 {rule}" for chain, rule in ruleset.jumps]
    return _restore(lines)


def render_remove(ruleset: Ruleset, saved: Saved) -> str:
    """Return what `iptables-restore --noflush` is told to remove them; empty without any."""
    there = [chain for chain in ruleset.chains if chain in saved]
    if not there:
        return ""
    emptied = [f"-F {chain}" for chain in there]
    return _restore([*_leave(ruleset, saved), *emptied, *(f"-X {chain}" for chain in there)])


def _leave(ruleset: Ruleset, saved: Saved) -> Iterator[str]:
    """Yield the removal of every rule that leads to our chains, also of one twice there."""
    for chain, rules in saved.items():
        for rule in rules:
            if chain not in ruleset.chains and target(rule) in ruleset.chains:
                yield f"-D {chain} {rule}"


def target(rule: str) -> str:
    """Return where a rule jumps or goes to; empty for one that only counts."""
    words = shlex.split(rule)
    return next((words[i + 1] for i, word in enumerate(words) if word in ("-j", "-g")), "")


def _restore(lines: Iterable[str]) -> str:
    return "\n".join(["*filter", *lines, "COMMIT", ""])
