"""Prometheus metrics of the API, and of the queue as the database knows it."""

from collections.abc import Iterable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text

from models.errors import StoreUnavailableError
from models.session import autocommit
from models.status import Status

CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUESTS = Counter("agentcore_http_requests_total", "HTTP requests", ["method", "route", "status"])
DURATION = Histogram(
    "agentcore_http_request_duration_seconds", "Time to answer, long-polls included", ["route"]
)


WAITING = Gauge("agentcore_waiting_requests", "Requests that are woken when an execution ends")


# Written out as the partial indexes are: what has ended is not looked at, however much it is.
_COUNTS = text("""
SELECT waiting.number
        + (SELECT count(*) FROM executions WHERE status = 'queued' AND NOT released) AS queued,
    (SELECT count(*) FROM executions WHERE status = 'running') AS running,
    coalesce(extract(epoch FROM now() - waiting.since), 0) AS oldest
FROM (
    SELECT count(*) AS number, min(created_at) AS since
    FROM executions WHERE status = 'queued' AND released
) AS waiting
""")


class _Queue(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "agentcore_executions", "Executions that have not ended", labels=["status"]
        )
        try:
            with autocommit() as session:
                counts = session.execute(_COUNTS).one()
        except StoreUnavailableError:
            return
        gauge.add_metric([Status.QUEUED], counts.queued)
        gauge.add_metric([Status.RUNNING], counts.running)
        yield gauge
        yield GaugeMetricFamily(
            "agentcore_oldest_queued_seconds",
            "Since the submit of the oldest execution that a worker may take and none has",
            value=max(0.0, float(counts.oldest)),
        )

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()


REGISTRY.register(_Queue())


def render() -> bytes:
    """Return all metrics as text."""
    return generate_latest(REGISTRY)
