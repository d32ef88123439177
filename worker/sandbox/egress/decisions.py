"""What is told of each request, in batches that no program can make large."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

MAX_DECISIONS = 100  # told in full, per batch; the rest is counted
MAX_HOSTS = 50  # counted by name, per batch; the rest is counted together
MAX_HOST_CHARS = 255  # of a host as asked; the DNS allows 253
OTHER_HOSTS = "*"  # the hosts that are not counted by name; no host can be called so


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One request: who was asked for, and what came of it."""

    time: float  # seconds since the epoch
    protocol: str  # connect, http or socks5
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
        """Return what `as_json` wrote. Raises ValueError or TypeError for anything else."""
        decisions = tuple(_decision(item) for item in value.pop("decisions"))
        names = ("outcomes", "more", "more_hosts")
        counts: dict[str, Any] = {name: _counts(value.pop(name)) for name in names}
        for name, number in value.items():
            _natural(name, number)
        if len(decisions) > MAX_DECISIONS:
            raise ValueError("too many decisions")
        return cls(decisions=decisions, **counts, **value)


def _decision(value: dict[str, Any]) -> Decision:
    decision = Decision(**value)
    for name in ("bytes_up", "bytes_down"):
        _natural(name, value[name])
    texts = (decision.protocol, decision.host, decision.reason, decision.address or "")
    if not all(isinstance(text, str) and text.isprintable() and len(text) < 256 for text in texts):
        raise ValueError("a decision's text is not printable, or too long")
    if not all(isinstance(number, int | float) for number in (decision.time, decision.seconds)):
        raise ValueError("a decision's time is no number")
    if decision.port is not None:
        _natural("port", decision.port)
    if not isinstance(decision.allowed, bool):
        raise ValueError("a decision is neither yes nor no")
    return decision


def _counts(value: dict[str, Any]) -> dict[str, int]:
    if len(value) > MAX_HOSTS + 1:
        raise ValueError("too many counts")
    return {str(name)[:MAX_HOST_CHARS]: _natural(name, count) for name, count in value.items()}


def _natural(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is no count")
    return value


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
