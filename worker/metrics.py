"""Prometheus metrics of a worker, served where a setting says."""

import re
from collections.abc import Callable

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    start_http_server,
)

from models.process import cannot_listen
from models.sandbox import Outcome
from models.settings import Settings
from models.status import Status

OUTCOMES = Counter(
    "agentcore_worker_outcomes_total", "Outcomes that this worker recorded", ["status", "reason"]
)
QUEUE_WAIT = Histogram(
    "agentcore_queue_wait_seconds",
    "From submit to the claim of the first attempt",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
DURATION = Histogram(
    "agentcore_execution_seconds",
    "From the claim of an attempt to its recorded outcome",
    ["status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900),
)
FAILURES = Counter(
    "agentcore_sandbox_failures_total",
    "Sandboxes that did not start or broke, also where another attempt follows",
    ["reason"],
)
# Of a control process, which has nothing of a worker.
OF_CONTROL = CollectorRegistry()
SWEPT = Counter(
    "agentcore_swept_total",
    "What the sweep of this control process had to move on",
    ["what"],
    registry=OF_CONTROL,
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


def serve(settings: Settings, name: str, registry: CollectorRegistry = REGISTRY) -> None:
    """Serve the metrics, if the setting of that name has a port.

    Raises SettingsError when the port cannot be had.
    """
    port = getattr(settings, name)
    if port is None:
        return
    host = settings.worker_metrics_host
    try:
        start_http_server(port, addr=host, registry=registry)
    except (OSError, UnicodeError) as error:
        raise cannot_listen(host, port, "worker_metrics_host", name, error) from error


def watch_pool(waiting: Callable[[], int], target: Callable[[], int]) -> None:
    """Let the pool be asked whenever the metrics are read."""
    POOL_WAITING.set_function(waiting)
    POOL_TARGET.set_function(target)


def count_start(is_warm: bool, seconds: float) -> None:
    """Count a sandbox that is ready for its job, `seconds` after it was asked for."""
    start = "warm" if is_warm else "cold"
    STARTS.labels(start).inc()
    READY_SECONDS.labels(start).observe(seconds)


def count_claim(attempt: int, age: float) -> None:
    """Count the wait of an execution, `age` seconds old, that is claimed for the first time."""
    if attempt == 1:
        QUEUE_WAIT.observe(max(0.0, age))


def count_failure(error: str) -> None:
    """Count a sandbox that failed us, by the name of an error of ours."""
    words = re.findall("[A-Z]+[a-z]*", error.removesuffix("Error"))
    FAILURES.labels("_".join(words).lower()).inc()  # EngineUnavailableError: engine_unavailable


def count(outcome: Outcome, seconds: float) -> None:
    """Count an outcome recorded `seconds` after its claim, its runs, and its network."""
    OUTCOMES.labels(outcome.status, outcome.reason or "").inc()
    DURATION.labels(outcome.status).observe(seconds)
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
