"""Prometheus metrics of the API, and of the queue as the database knows it."""

from collections.abc import Iterable
from typing import Any

import structlog
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
from sqlalchemy.exc import DBAPIError

from api import readiness
from api.cached import Cached
from api.readiness import PARTS, is_well
from models.errors import StoreUnavailableError
from models.session import autocommit
from models.status import Status

log = structlog.get_logger()

CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUESTS = Counter("agentcore_http_requests_total", "HTTP requests", ["method", "route", "status"])
DURATION = Histogram(
    "agentcore_http_request_duration_seconds",
    "Time to answer, long-polls included",
    ["route"],
    # Up to the longest wait that a setting may allow.
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
CACHE_SECONDS = 1.0  # strangers may ask; the database is asked once a second

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


def _count() -> Any:
    if not is_well(readiness.database_only().database):
        return None  # it is not waited for a second time
    try:
        with autocommit() as session:
            return session.execute(_COUNTS).one()
    except (StoreUnavailableError, DBAPIError) as error:  # the latter before the first migration
        log.warning("queue_not_counted", error=type(error).__name__)
        return None


_counts = Cached(_count, CACHE_SECONDS)


class _Ready(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "agentcore_ready",
            "1 where GET /health/ready says ok of the part, else 0",
            labels=["part"],
        )
        found = readiness.check()
        for part in PARTS:
            gauge.add_metric([part], is_well(getattr(found, part)))
        yield gauge

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()


class _Queue(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "agentcore_executions", "Executions that have not ended", labels=["status"]
        )
        counts = _counts.get()
        if counts is None:
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
REGISTRY.register(_Ready())


def render() -> bytes:
    """Return all metrics as text."""
    return generate_latest(REGISTRY)
