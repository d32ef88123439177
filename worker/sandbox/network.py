"""A sandbox's way to the hosts that it may reach, and what is told of its use afterwards."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from models.addresses import Network, lies_in
from models.hosts import parse_rule
from models.sandbox import Outcome, SandboxConfig
from models.settings import Settings
from models.status import Reason, Status
from worker.sandbox.egress import reasons
from worker.sandbox.egress.client import EgressProxy, Gate
from worker.sandbox.egress.decisions import Decision, Report
from worker.sandbox.egress.errors import (
    EgressUnavailableError,
    PlaceGoneError,
    SocketPathError,
)
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.policy import Policy
from worker.sandbox.errors import EngineUnavailableError, SandboxError, SandboxStartError

EVENT_DECISIONS = 20  # in one audit event, whose data is bounded by the database
SHOWN_DENIALS = 3  # in the result's warning; the audit trail has the others


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder that is mounted into one sandbox, for a gate that is opened with its job."""

    proxy: EgressProxy
    directory: Path


class Egress:
    """Opens a gate in the worker's egress proxy for each sandbox that may reach hosts.

    The proxy is a process of its own, started at the first use.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proxy: EgressProxy | None = None
        self._lock = threading.Lock()

    def reserve(self, spec: SandboxConfig) -> Place | None:
        """Make the folder for a sandbox's gate; None for one that reaches nothing.

        Raises what `gate` raises. It is to be given back by `release`.
        """
        if not spec.uses_egress_proxy:
            return None
        with self._errors():
            with self._lock:
                if self._proxy is None:
                    self._proxy = EgressProxy(self._settings.egress_directory or _private_folder())
                proxy = self._proxy
            try:
                return Place(proxy=proxy, directory=proxy.reserve())
            except PlaceGoneError:
                self._forget(proxy)
                raise

    def release(self, place: Place | None) -> None:
        """Remove the folder; its gate must be closed, if it was ever opened."""
        if place is not None:
            place.proxy.release(place.directory)

    @contextmanager
    def gate(self, spec: SandboxConfig, place: Place | None) -> Iterator[Gate | None]:
        """Hold a gate open for a sandbox; None for one that reaches nothing.

        Raises EngineUnavailableError while the proxy is away, and SandboxStartError where there
        can be none. What an interrupted run did on its network is added to the error's `so_far`.
        """
        if place is None:
            yield None
            return
        gate = self._open(spec, place)
        try:
            yield gate
        except SandboxError as error:
            so_far = error.so_far or Outcome(status=Status.LOST)
            error.so_far = add_network(so_far, gate.close())
            raise
        finally:
            gate.close()

    def close(self) -> None:
        """End the proxy, and remove what it has on the disk."""
        with self._lock:
            if self._proxy is not None:
                self._proxy.close()

    def _open(self, spec: SandboxConfig, place: Place) -> Gate:
        with self._errors():
            if not place.directory.is_dir():
                raise SandboxStartError("the egress proxy: the sandbox's folder was removed")
            policy, limits = self._rules(spec)
            try:
                return place.proxy.open(policy, limits, place.directory)
            except PlaceGoneError:
                self._forget(place.proxy)
                raise

    @staticmethod
    @contextmanager
    def _errors() -> Iterator[None]:
        try:
            yield
        except (PlaceGoneError, EgressUnavailableError) as error:
            raise EngineUnavailableError(f"the egress proxy: {error}") from error
        except (SocketPathError, OSError, ValueError) as error:
            raise SandboxStartError(f"the egress proxy: {error}") from error

    def _forget(self, proxy: EgressProxy) -> None:
        """Let the next sandbox have another proxy: this one's place was removed under it."""
        with self._lock:
            if self._proxy is not proxy:
                return
            self._proxy = None
        proxy.close()

    def _rules(self, spec: SandboxConfig) -> tuple[Policy, Limits]:
        settings = self._settings
        denied = (*spec.egress_deny, *own_addresses(spec.egress_ceiling))
        policy = Policy.parsed(spec.allowed_hosts, spec.egress_ceiling, denied)
        limits = Limits(
            max_requests=spec.limits.network_requests,
            max_connections=settings.egress_max_connections,
            max_bytes_up=settings.egress_max_bytes_up,
            max_bytes_down=settings.egress_max_bytes_down,
            resolve_seconds=settings.egress_connect_seconds,
            connect_seconds=settings.egress_connect_seconds,
            idle_seconds=settings.egress_idle_seconds,
        )
        return policy, limits


def own_addresses(ceiling: Sequence[str] | None) -> list[str]:
    """Return this host's addresses, which no sandbox reaches unless the ceiling names them singly.

    A tenant may list private networks, and this host's services may listen in one of them.
    """
    named = [rule.network for rule in map(parse_rule, ceiling or ()) if rule.network is not None]
    single = [network.network_address for network in named if network.num_addresses == 1]
    return [str(own) for own in _local() if not any(lies_in(address, own) for address in single)]


def _local() -> set[Network]:
    """Return what this host takes for its own addresses, as the kernel tells it (Linux)."""
    found: set[Network] = set()
    with suppress(OSError):  # a kernel without IPv6 has no such file
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
        found |= {IPv6Network(int(line.split()[0], 16)) for line in lines}
    leaf = ""
    for line in Path("/proc/net/fib_trie").read_text(encoding="ascii").splitlines():
        word = line.split()
        if word[0] == "|--":
            leaf = word[1]
        elif word[1:] == ["host", "LOCAL"]:
            found.add(IPv4Network(f"{leaf}{word[0]}"))
    return found


def _private_folder() -> Path:
    """Return where the sockets lie unless a setting says so: short, for a socket's path is."""
    user = os.geteuid()
    if user == 0:
        return Path("/run/agentcore-egress")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # Another user who is there first can make us refuse it, and no more.
    return Path(runtime or "/tmp") / f"agentcore-egress-{user}"  # noqa: S108


def add_network(outcome: Outcome, report: Report) -> Outcome:
    """Return the outcome with what the egress proxy tells of this sandbox."""
    totals = {
        "requests": report.requests,
        "denied": report.denied,
        "bytes_up": report.bytes_up,
        "bytes_down": report.bytes_down,
        "outcomes": dict(report.outcomes),
    }
    return replace(
        outcome,
        network=totals,
        network_events=tuple(_events(report)),
        warnings=(*outcome.warnings, *_warnings(report)),
    )


def _events(report: Report) -> Iterator[dict[str, Any]]:
    """Yield the data of audit events: the decisions in batches, then those only counted."""
    decisions = report.decisions
    for start in range(0, len(decisions), EVENT_DECISIONS):
        batch = decisions[start : start + EVENT_DECISIONS]
        yield {"decisions": [_decision(item) for item in batch]}
    if report.more:
        yield {"counted": dict(report.more), "counted_by_host": dict(report.more_hosts)}
    if report.restarts:
        yield {"proxy_restarts": report.restarts, "note": "decisions before a restart may be lost"}


def _decision(decision: Decision) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(decision).items() if value is not None}
    return facts | {"time": round(decision.time, 3), "seconds": round(decision.seconds, 3)}


def _warnings(report: Report) -> Iterator[str]:
    if report.restarts:
        yield "the egress proxy failed: what is told of the network may be incomplete"
    if cut := report.outcomes.get(reasons.BYTE_LIMIT):
        yield f"{reasons.BYTE_LIMIT}: {cut} connections were cut off or refused at the limit"
    if not report.denied:
        return
    denials: Mapping[str, None] = dict.fromkeys(
        f"{item.host}:{item.port} {item.reason}" for item in report.decisions if not item.allowed
    )
    # Where all came after the decisions that are told in full, their reasons are left.
    shown = ", ".join(list(denials or report.more)[:SHOWN_DENIALS])
    yield f"{Reason.NETWORK_DENIED}: {report.denied} refused; {shown}"
