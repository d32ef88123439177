"""Rules that allow or deny hosts: what an entry of a list means, and which entry covers which.

A rule is a name, `*.domain`, an IP address or a CIDR block, each with `:port` where it is meant
for one port (IPv6 then in brackets). `*.domain` stands for every name below the domain and not
for the domain itself; `*` for every name. A rule without a port means ports 80 and 443.
"""

import re
from dataclasses import dataclass, replace
from ipaddress import ip_network

from models.addresses import PRIVATE, Address, Network, block_of, lies_in, special_use
from models.host_names import canonical_host

__all__ = [
    "DEFAULT_PORTS",
    "Address",
    "HostRule",
    "canonical_host",
    "covered",
    "covers",
    "denies",
    "parse_rule",
    "refusal",
    "special_use",
]

DEFAULT_PORTS = (80, 443)  # HTTP and HTTPS (RFC 9110)
MAX_PORT = 65_535
SHOWN_ENTRIES = 10  # of a ceiling, in a refusal

_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, kw_only=True)
class HostRule:
    """One entry of a list of hosts: either a name or a network.

    `text` is its one spelling; `name` is canonical, without `*.`, and empty for `*` and networks.
    """

    text: str
    name: str
    wildcard: bool
    network: Network | None
    port: int | None

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that the rule allows."""
        return DEFAULT_PORTS if self.port is None else (self.port,)

    def matches(self, host: str | Address) -> bool:
        """Whether a canonical host is one that the rule means; ports aside."""
        if not isinstance(host, str):
            return self.network is not None and lies_in(host, self.network)
        if self.network is not None:
            return False
        if self.wildcard:
            return not self.name or host.endswith(f".{self.name}")
        return host == self.name

    def opens(self, address: Address) -> bool:
        """Whether a network rule is meant for an address of special use, too.

        It is when it lies in the block of that use as a whole: `10.0.0.0/8` opens private
        addresses and `0.0.0.0/0` opens public ones alone.
        """
        return (
            self.network is not None
            and lies_in(address, self.network)
            and block_of(self.network) == block_of(address)
        )


def parse_rule(text: str) -> HostRule:
    """Return the rule that an entry means. Raises ValueError in words.

    Stricter than `canonical_host`, for a person writes it: ASCII, and IPv4 as four numbers.
    """
    if not text.isascii() or not text.isprintable() or "%" in text:
        raise ValueError("must be plain ASCII; write other names in their xn-- form")
    match = _HOST_AND_PORT.fullmatch(text)
    host, port = (match["host"], match["port"]) if match else (text, None)
    if port and not 0 < int(port) <= MAX_PORT:
        raise ValueError(f"port must be from 1 to {MAX_PORT}")
    network = _network(host)
    wildcard = network is None and (host == "*" or host.startswith("*."))
    name = "" if network or host == "*" else _name(host.removeprefix("*."))
    rule = HostRule(
        text="", name=name, wildcard=wildcard, network=network, port=int(port) if port else None
    )
    return replace(rule, text=_written(rule))


def _network(host: str) -> Network | None:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        network = ip_network(bare)
    except ValueError as error:
        if "://" in bare or bare.endswith("/"):
            raise ValueError("must be a host alone, without http:// and path") from error
        if "/" in bare:
            raise ValueError(f"is not a CIDR block: {error}") from error
        if ":" in bare or bare != host:
            raise ValueError(
                "must be a host name, *.domain, an IP address or a CIDR block; with a port "
                "host:port, [IPv6]:port"
            ) from error
        return None
    if bare != host and network.version == 4:
        raise ValueError("brackets are for IPv6")
    return network


def _name(host: str) -> str:
    name = canonical_host(host)
    if not isinstance(name, str):
        raise ValueError("an IPv4 address must be written as four decimal numbers")
    return name


def _written(rule: HostRule) -> str:
    if rule.network is None:
        host = f"*.{rule.name}".removesuffix(".") if rule.wildcard else rule.name
    else:
        network = rule.network
        single = network.prefixlen == network.max_prefixlen
        host = str(network.network_address if single else network)
    if rule.port is None:
        return host
    return f"[{host}]:{rule.port}" if ":" in host else f"{host}:{rule.port}"


def _includes(outer: HostRule, inner: HostRule) -> bool:
    """Whether every host that `inner` means is one that `outer` means; ports aside."""
    if outer.network is not None and inner.network is not None:
        return lies_in(inner.network, outer.network)
    if outer.network is not None or inner.network is not None:
        return False
    same = outer.name == inner.name
    if not outer.wildcard:
        return same and not inner.wildcard
    return outer.matches(inner.name) or (same and inner.wildcard)


def covers(ceiling: HostRule, rule: HostRule) -> bool:
    """Whether everything that `rule` allows is allowed by `ceiling`, too.

    A ceiling covers addresses of special use only if it lies in their block, as in `opens`.
    """
    if not _includes(ceiling, rule) or not set(rule.ports) <= set(ceiling.ports):
        return False
    return (
        rule.network is None
        or ceiling.network is None
        or block_of(rule.network) == block_of(ceiling.network)
    )


def covered(ceiling: tuple[HostRule, ...], rule: HostRule) -> bool:
    """Whether each port that `rule` allows is covered by some rule of a ceiling."""
    return all(any(covers(one, replace(rule, port=port)) for one in ceiling) for port in rule.ports)


def denies(deny: HostRule, rule: HostRule) -> bool:
    """Whether nothing is left of `rule` under `deny`, which without a port means every port."""
    return _includes(deny, rule) and (deny.port is None or rule.ports == (deny.port,))


def refusal(
    rule: HostRule, ceiling: tuple[HostRule, ...] | None, denied: tuple[HostRule, ...]
) -> str | None:
    """Return in words why a request must not list `rule`, or None when it may.

    A rule of which only a part is denied may be listed: the part is refused when it is reached.
    """
    if any(denies(deny, rule) for deny in denied):
        return "is on the operator's deny list (AGENTCORE_EGRESS_DENY)"
    if ceiling is not None:
        if covered(ceiling, rule):
            return None
        entries = ", ".join(one.text for one in ceiling[:SHOWN_ENTRIES]) or "nothing"
        more = ", ..." if len(ceiling) > SHOWN_ENTRIES else ""
        return f"is not within the operator's AGENTCORE_EGRESS_CEILING, which has {entries}{more}"
    block = rule.network and block_of(rule.network)
    if block and block.use != PRIVATE:
        return (
            f"is of special use ({block.use}): only where the operator's "
            "AGENTCORE_EGRESS_CEILING names it may it be listed"
        )
    return None
