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
from sqlalchemy import func, select

from models.errors import StoreUnavailableError
from models.session import transaction
from models.status import Status
from models.tables import ExecutionRow

CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUESTS = Counter("agentcore_http_requests_total", "HTTP requests", ["method", "route", "status"])
DURATION = Histogram(
    "agentcore_http_request_duration_seconds", "Time to answer, long-polls included", ["route"]
)


WAITING = Gauge("agentcore_waiting_requests", "Requests that are woken when an execution ends")


class _Queue(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        live = (Status.QUEUED, Status.RUNNING)
        gauge = GaugeMetricFamily(
            "agentcore_executions", "Executions that have not ended", labels=["status"]
        )
        try:
            with transaction() as session:
                rows = session.execute(
                    select(ExecutionRow.status, func.count())
                    .where(ExecutionRow.status.in_(live))
                    .group_by(ExecutionRow.status)
                ).all()
        except StoreUnavailableError:
            return
        counts = {row.status: row[1] for row in rows}
        for status in live:
            gauge.add_metric([status], counts.get(status, 0))
        yield gauge

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()


REGISTRY.register(_Queue())


def render() -> bytes:
    """Return all metrics as text."""
    return generate_latest(REGISTRY)
