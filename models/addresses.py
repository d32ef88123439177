"""IP addresses that are not for everyone: what each is set aside for, and what hides inside it.

The blocks are those of the IANA special-purpose address registries (RFC 6890 and what has been
registered since), the multicast blocks, and the addresses at which clouds answer their virtual
machines. Whatever of IPv6 lies outside 2000::/3 is not handed out as global unicast (RFC 4291).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PRIVATE = "private"
METADATA = "metadata"
MAPPED, COMPATIBLE, TRANSLATED = "IPv4-mapped", "IPv4-compatible", "IPv4-translated"
NAT64, SIX_TO_FOUR, TEREDO = "NAT64", "6to4", "Teredo"

_USES = {
    "unspecified": ("0.0.0.0/32", "::/128"),
    "this network": ("0.0.0.0/8",),  # RFC 791; Linux dials 0.0.0.0 as the host itself
    "loopback": ("127.0.0.0/8", "::1/128"),
    PRIVATE: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),  # RFC 1918, 4193
    "site-local": ("fec0::/10",),  # RFC 3879, given up
    "link-local": ("169.254.0.0/16", "fe80::/10"),  # RFC 3927, 4291
    "carrier-grade NAT": ("100.64.0.0/10",),  # RFC 6598
    "multicast": ("224.0.0.0/4", "ff00::/8"),  # RFC 5771, 4291
    "broadcast": ("255.255.255.255/32",),  # RFC 919
    "documentation": (  # RFC 5737, 3849, 9637
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20",
    ),
    "benchmarking": ("198.18.0.0/15",),  # RFC 2544; that of IPv6 is in 2001::/23
    "reserved": (  # RFC 1112, 6890, 2928, 4291
        "240.0.0.0/4", "192.0.0.0/24", "2001::/23", "::/3", "4000::/2", "8000::/1",
    ),
    MAPPED: ("::ffff:0:0/96",),  # RFC 4291; Linux dials the IPv4 address inside
    COMPATIBLE: ("::/96",),  # RFC 4291, given up
    TRANSLATED: ("::ffff:0:0:0/96",),  # RFC 2765
    NAT64: ("64:ff9b::/96",),  # RFC 6052
    "local NAT64": ("64:ff9b:1::/48",),  # RFC 8215; where in it IPv4 lies is up to the site
    SIX_TO_FOUR: ("2002::/16",),  # RFC 3056
    "6to4 relay": ("192.88.99.0/24",),  # RFC 7526, given up
    TEREDO: ("2001::/32",),  # RFC 4380
    METADATA: (
        "169.254.169.254/32", "fe80::a9fe:a9fe/128",  # most clouds, as OpenStack names them
        "169.254.170.2/32", "169.254.170.23/32",  # AWS: credentials of ECS tasks, EKS pods
        "fd00:ec2::/32",  # AWS: instance metadata (::254), credentials (::23), DNS, time
        "fd20:ce::254/128",  # Google Cloud
        "fd00:c1::a9fe:a9fe/128", "192.0.0.192/32",  # Oracle Cloud; its predecessor
        "168.63.129.16/32",  # Azure: its fabric (WireServer), on an address that looks public
        "100.100.100.200/32", "fd00:100::100:200/128",  # Alibaba Cloud
        "169.254.0.23/32",  # Tencent Cloud
        "169.254.42.42/32", "fd00:42::42/128",  # Scaleway
        "fd00:a9fe:a9fe::1/128",  # Akamai (Linode)
    ),
}  # fmt: skip

# How many bits lie below the IPv4 address that an IPv6 address of this use carries.
_CARRIED = {MAPPED: 0, COMPATIBLE: 0, TRANSLATED: 0, NAT64: 0, SIX_TO_FOUR: 80, TEREDO: 64}
_IPV4_BITS = 0xFFFF_FFFF


@dataclass(frozen=True, kw_only=True)
class Block:
    """Addresses that are set aside for one use."""

    network: Network
    use: str


# The smallest come first, so that the first that fits says most.
_BLOCKS = sorted(
    (Block(network=ip_network(text), use=use) for use, texts in _USES.items() for text in texts),
    key=lambda block: block.network.prefixlen,
    reverse=True,
)


def lies_in(inner: Network | Address, outer: Network) -> bool:
    """Whether an address, or every address of a network, is in `outer`."""
    if isinstance(inner, IPv4Address | IPv6Address):
        return inner in outer
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def block_of(place: Network | Address) -> Block | None:
    """Return the smallest block that holds all of `place`; None if no single one does."""
    return next((block for block in _BLOCKS if lies_in(place, block.network)), None)


def carried(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that a tunnel or a translator would make of an address."""
    block = block_of(address)
    if block is None or block.use not in _CARRIED:
        return ()
    value = int(address)
    found = [IPv4Address(value >> _CARRIED[block.use] & _IPV4_BITS)]
    if block.use == TEREDO:
        found.append(IPv4Address(~value & _IPV4_BITS))  # the client's, written inverted
    return tuple(found)


def special_use(address: Address) -> str | None:
    """Return what an address is set aside for, or None for a public one.

    Of an address that carries another, the use of the other follows: `IPv4-mapped loopback`.
    """
    block = block_of(address)
    if block is None:
        return None
    inside = [use for inner in carried(address) if (use := special_use(inner))]
    return " ".join([block.use, *inside[:1]])
