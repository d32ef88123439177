"""Prometheus metrics of a worker, served where a setting says."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from models.errors import SettingsError
from models.sandbox import Outcome
from models.settings import Settings
from models.status import Status

OUTCOMES = Counter(
    "agentcore_worker_outcomes_total", "Outcomes that this worker recorded", ["status", "reason"]
)
RUNS = Counter("agentcore_batch_runs_total", "Runs of batches that ended", ["status"])
DECISIONS = Counter(
    "agentcore_egress_decisions_total",
    "Requests of sandboxes to the egress proxy; `closed` is the end of one that was allowed",
    ["reason"],
)
BYTES = Counter("agentcore_egress_bytes_total", "Through the egress proxy", ["direction"])

STARTS = Counter(
    "agentcore_pool_sandboxes_total",
    "Sandboxes by how their jobs found them: `warm` is a hit of the pool, `cold` a miss",
    ["start"],
)
READY_SECONDS = Histogram(
    "agentcore_sandbox_ready_seconds",
    "From asking for a sandbox to its isolation being verified, before user code",
    ["start"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
POOL_WAITING = Gauge("agentcore_pool_waiting", "Sandboxes that wait for a job")
POOL_TARGET = Gauge("agentcore_pool_target", "Sandboxes that should wait, by demand")


def serve(settings: Settings) -> None:
    """Serve the metrics, if a port is set. Raises SettingsError when it cannot be had."""
    port = settings.worker_metrics_port
    if port is None:
        return
    try:
        start_http_server(port, addr=settings.worker_metrics_host)
    except OSError as error:
        raise SettingsError(f"AGENTCORE_WORKER_METRICS_PORT: {port}: {error.strerror}") from error


def watch_pool(waiting: Callable[[], int], target: Callable[[], int]) -> None:
    """Let the pool be asked whenever the metrics are read."""
    POOL_WAITING.set_function(waiting)
    POOL_TARGET.set_function(target)


def count_start(is_warm: bool, seconds: float) -> None:
    """Count a sandbox that is ready for its job, `seconds` after it was asked for."""
    start = "warm" if is_warm else "cold"
    STARTS.labels(start).inc()
    READY_SECONDS.labels(start).observe(seconds)


def count(outcome: Outcome) -> None:
    """Count a recorded outcome, its runs and what its program did on the network."""
    OUTCOMES.labels(outcome.status, outcome.reason or "").inc()
    for status in (Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT):
        RUNS.labels(status).inc((outcome.batch or {}).get(status, 0))
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
