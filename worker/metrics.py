"""Prometheus metrics of a worker, served where a setting says."""

from prometheus_client import Counter, start_http_server

from models.errors import SettingsError
from models.sandbox import Outcome
from models.settings import Settings

OUTCOMES = Counter(
    "agentcore_worker_outcomes_total", "Outcomes that this worker recorded", ["status", "reason"]
)
DECISIONS = Counter(
    "agentcore_egress_decisions_total",
    "Requests of sandboxes to the egress proxy; `closed` is the end of one that was allowed",
    ["reason"],
)
BYTES = Counter("agentcore_egress_bytes_total", "Through the egress proxy", ["direction"])


def serve(settings: Settings) -> None:
    """Serve the metrics, if a port is set. Raises SettingsError when it cannot be had."""
    port = settings.worker_metrics_port
    if port is None:
        return
    try:
        start_http_server(port, addr=settings.worker_metrics_host)
    except OSError as error:
        raise SettingsError(f"AGENTCORE_WORKER_METRICS_PORT: {port}: {error.strerror}") from error


def count(outcome: Outcome) -> None:
    """Count a recorded outcome and what its program did on the network."""
    OUTCOMES.labels(outcome.status, outcome.reason or "").inc()
    count_network(outcome)


def count_network(outcome: Outcome) -> None:
    """Count what a program did on the network, whatever becomes of its attempt."""
    network = outcome.network
    if network is None:
        return
    for reason, number in network["outcomes"].items():
        DECISIONS.labels(reason).inc(number)
    BYTES.labels("up").inc(network["bytes_up"])
    BYTES.labels("down").inc(network["bytes_down"])
