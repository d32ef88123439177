"""What a sandbox may reach: a decision over names, addresses and ports, without any I/O.

A name must be on the list with its port; so must an address that is dialled as such. What a name
resolves to is judged besides, address by address: one of special use needs a network rule of the
list that opens it (see `HostRule.opens`). An operator's ceiling must allow all of it, too; without
one, rules open private addresses and no others of special use. The deny list wins over all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from models.addresses import PRIVATE, block_of, carried
from models.hosts import DEFAULT_PORTS, Address, HostRule, canonical_host, parse_rule

__all__ = ["DEFAULT_PORTS", "DenialReason", "DeniedError", "Policy"]

DenialReason = Literal[
    "invalid_host",
    "host_not_allowed",
    "host_denied",
    "port_not_allowed",
    "address_not_allowed",
    "address_denied",
    "name_not_found",
]


class DeniedError(Exception):
    """A destination is refused; `reason` is a word of a closed vocabulary."""

    def __init__(self, reason: DenialReason) -> None:
        super().__init__(reason)
        self.reason: DenialReason = reason


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What one sandbox may reach. `ceiling` and `denied` are the operator's; None: no ceiling."""

    allowed: tuple[HostRule, ...]
    ceiling: tuple[HostRule, ...] | None = None
    denied: tuple[HostRule, ...] = ()

    @classmethod
    def parsed(
        cls,
        allowed: Iterable[str],
        ceiling: Iterable[str] | None = None,
        denied: Iterable[str] = (),
    ) -> Self:
        """Return the policy of entries as they are written. Raises ValueError in words."""
        return cls(
            allowed=tuple(map(parse_rule, allowed)),
            ceiling=None if ceiling is None else tuple(map(parse_rule, ceiling)),
            denied=tuple(map(parse_rule, denied)),
        )

    def check_host(self, host: str | Address, port: int) -> None:
        """Judge a canonical host before any lookup. Raises DeniedError."""
        if not isinstance(host, str):
            self.check_address(host, host, port)
            return
        if not _is_canonical(host):
            raise DeniedError("invalid_host")
        if self._denies(host, port):
            raise DeniedError("host_denied")
        for rules in self._lists():
            matching = [rule for rule in rules if rule.matches(host)]
            if not matching:
                raise DeniedError("host_not_allowed")
            if not any(port in rule.ports for rule in matching):
                raise DeniedError("port_not_allowed")

    def check_address(self, host: str | Address, address: Address, port: int) -> None:
        """Judge one address that `host` resolved to. Raises DeniedError."""
        inside = carried(address)
        if any(self._denies(one, port) for one in (address, *inside)):
            raise DeniedError("address_denied")
        direct = not isinstance(host, str)
        if direct:
            if host != address:
                raise DeniedError("address_not_allowed")
            self._check_direct(address, port)
        for one in (address, *inside):
            if (block := block_of(one)) is not None:
                self._check_special(one, port)
                if self.ceiling is None and block.use != PRIVATE:
                    raise DeniedError("address_not_allowed")

    def dialable(
        self, host: str | Address, addresses: Sequence[Address], port: int
    ) -> tuple[Address, ...]:
        """Return the addresses to dial, in order. Raises DeniedError if any one is refused.

        One bad address refuses the name as a whole: whoever answers for it cannot be trusted.
        """
        self.check_host(host, port)
        if not addresses:
            raise DeniedError("name_not_found")
        for address in addresses:
            self.check_address(host, address, port)
        return tuple(dict.fromkeys(addresses))

    def _lists(self) -> tuple[tuple[HostRule, ...], ...]:
        return (self.allowed,) if self.ceiling is None else (self.allowed, self.ceiling)

    def _denies(self, host: str | Address, port: int) -> bool:
        return any(rule.matches(host) and rule.port in (None, port) for rule in self.denied)

    def _check_direct(self, address: Address, port: int) -> None:
        for rules in self._lists():
            opening = [rule for rule in rules if rule.opens(address)]
            if not opening:
                raise DeniedError("address_not_allowed")
            if not any(port in rule.ports for rule in opening):
                raise DeniedError("port_not_allowed")

    def _check_special(self, address: Address, port: int) -> None:
        # In a request's list the name's own rule has allowed the port; a network rule speaks of
        # ports if it names one. The operator's means what it says, as for an address dialled.
        opened = [rule for rule in self.allowed if rule.opens(address)]
        within = any(rule.port in (None, port) for rule in opened)
        if self.ceiling is not None:
            within &= any(rule.opens(address) and port in rule.ports for rule in self.ceiling)
        if not within:
            raise DeniedError("address_not_allowed")


def _is_canonical(name: str) -> bool:
    try:
        return canonical_host(name) == name
    except ValueError:
        return False
