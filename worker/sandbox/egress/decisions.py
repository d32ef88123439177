"""What is told of each request, in batches that no program can make large."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from models.hosts import MAX_PORT
from worker.sandbox.egress.limits import MOST

MAX_DECISIONS = 100  # told in full, per batch; the rest is counted
MAX_HOSTS = 50  # counted by name, per batch; the rest is counted together
MAX_HOST_CHARS = 255  # of a host as asked; the DNS allows 253
OTHER_HOSTS = "*"  # the hosts that are not counted by name; no host can be called so
MAX_REASONS = 60  # there are about 30 words in `reasons` and `policy`
PROTOCOLS = ("connect", "http", "socks5")

# What is kept by a database or shown to a person: no control character, nothing but ASCII.
_HOST = re.compile(rf"[\x20-\x7e]{{0,{MAX_HOST_CHARS}}}")
_REASON = re.compile(r"[a-z_]{1,40}")
_ADDRESS = re.compile(r"[0-9a-fA-F:.]{2,45}")  # of either version; its longest has 45 characters


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One request: who was asked for, and what came of it."""

    time: float  # seconds since the epoch
    protocol: str  # of PROTOCOLS
    host: str  # as asked, printable, at most MAX_HOST_CHARS
    port: int | None
    address: str | None  # dialled
    allowed: bool
    reason: str  # a word of `reasons` or of `policy`
    bytes_up: int
    bytes_down: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """Totals of a gate since it was opened, and its decisions since the last report."""

    requests: int = 0  # counted against max_network_requests
    denied: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)  # by reason
    decisions: tuple[Decision, ...] = ()
    more: Mapping[str, int] = field(default_factory=dict)  # decisions not told in full, by reason
    more_hosts: Mapping[str, int] = field(default_factory=dict)  # and by host
    # How often the proxy died under this gate: what it had not reported yet is lost.
    restarts: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return what `as_json` wrote. Raises ValueError for anything else."""
        try:
            return cls._from_json(dict(value))
        except (TypeError, LookupError, AttributeError) as error:
            raise ValueError(f"no report: {error}") from error

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> Self:
        decisions = value.pop("decisions")
        if len(decisions) > MAX_DECISIONS:
            raise ValueError("too many decisions")
        counts: dict[str, Any] = {
            "outcomes": _counts(value.pop("outcomes"), _REASON, MAX_REASONS),
            "more": _counts(value.pop("more"), _REASON, MAX_REASONS),
            "more_hosts": _counts(value.pop("more_hosts"), _HOST, MAX_HOSTS + 1),
        }
        for number in value.values():
            _natural(number)
        return cls(decisions=tuple(map(_decision, decisions)), **counts, **value)


def _decision(value: dict[str, Any]) -> Decision:
    decision = Decision(**value)
    for number in (decision.bytes_up, decision.bytes_down):
        _natural(number)
    for seconds in (decision.time, decision.seconds):
        _number(seconds)
    _text(decision.host, _HOST)
    _text(decision.reason, _REASON)
    if decision.protocol not in PROTOCOLS:
        raise ValueError("no such protocol")
    if decision.address is not None:
        _text(decision.address, _ADDRESS)
    if decision.port is not None and _natural(decision.port) > MAX_PORT:
        raise ValueError("no such port")
    if not isinstance(decision.allowed, bool):
        raise ValueError("a decision is neither yes nor no")
    return decision


def _counts(value: dict[str, Any], name: re.Pattern[str], most: int) -> dict[str, int]:
    if len(value) > most:
        raise ValueError("too many counts")
    return {_text(key, name): _natural(count) for key, count in value.items()}


def _text(value: Any, pattern: re.Pattern[str]) -> str:
    # Not shown in the message, which goes to a log.
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("a word that none of ours is")
    return value


def _natural(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("a count that is none")
    _number(value)
    return value


def _number(value: Any) -> None:
    # NaN is in no range, and infinity beyond this one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
        raise ValueError("a number that is none, or out of range")


def shown(host: str) -> str:
    """Return a host as asked, made fit for a log."""
    cut = host[:MAX_HOST_CHARS]
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in cut)


class Ledger:
    """The decisions of one gate."""

    def __init__(self) -> None:
        self.denied = 0
        self.outcomes: Counter[str] = Counter()
        self._reset()

    def _reset(self) -> None:
        self._decisions: list[Decision] = []
        self._more: Counter[str] = Counter()
        self._more_hosts: Counter[str] = Counter()

    def add(self, decision: Decision) -> None:
        """Take one decision, in full or as a count."""
        self.outcomes[decision.reason] += 1
        self.denied += not decision.allowed
        if len(self._decisions) < MAX_DECISIONS:
            self._decisions.append(decision)
            return
        known = decision.host in self._more_hosts or len(self._more_hosts) < MAX_HOSTS
        self._more[decision.reason] += 1
        self._more_hosts[decision.host if known else OTHER_HOSTS] += 1

    def take(self) -> dict[str, Any]:
        """Return the fields of a report that are the ledger's, and begin a new batch."""
        batch = {
            "denied": self.denied,
            "outcomes": dict(self.outcomes),
            "decisions": tuple(self._decisions),
            "more": dict(self._more),
            "more_hosts": dict(self._more_hosts),
        }
        self._reset()
        return batch
