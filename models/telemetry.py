"""Traces for OpenTelemetry where its standard variables ask for them; elsewhere nothing happens.

An execution continues the trace of its submit in whatever process runs it, and however its message
got there: the parent is in the database, with the execution.
"""

import importlib
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from models.errors import SettingsError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
PROPAGATORS = "OTEL_PROPAGATORS"
FLUSH_MS = 3000  # for what is not exported yet, when a process ends

_tracer = trace.get_tracer("agentcore")
_propagator = TraceContextTextMapPropagator()


def configure(service: str) -> None:
    """Export this process's spans, if an endpoint is set. Raises SettingsError.

    `service` is the name that they come from, unless OTEL_SERVICE_NAME says another.
    """
    _check_propagators()
    variable = next((name for name in (TRACES_ENDPOINT, ENDPOINT) if os.environ.get(name)), None)
    if variable is None or not _is_wanted():
        return
    _check(variable)
    # Here, because most processes need none of it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.setdefault("OTEL_SERVICE_NAME", service)
    try:
        provider = TracerProvider(resource=Resource.create())
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise SettingsError(f"OTEL_…: OpenTelemetry refuses its variables: {error}") from None
    trace.set_tracer_provider(provider)


def _is_wanted() -> bool:
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if exporter not in ("otlp", "none"):
        raise SettingsError(f"OTEL_TRACES_EXPORTER: must be otlp or none, not {exporter!r}")
    return not disabled and exporter == "otlp"


def _check(variable: str) -> None:
    if urlsplit(os.environ[variable]).scheme not in ("http", "https"):
        raise SettingsError(f"{variable}: must be an http or https URL")
    for name in PROTOCOLS:
        if os.environ.get(name, PROTOCOL) != PROTOCOL:
            raise SettingsError(f"{name}: must be {PROTOCOL}, the only protocol that is built in")


def _check_propagators() -> None:
    """We read `traceparent` alone, but FastAPI imports what this variable names, traces or not."""
    if os.environ.get(PROPAGATORS):
        try:
            importlib.import_module("opentelemetry.propagate")
        except ValueError as error:
            raise SettingsError(f"{PROPAGATORS}: {error}") from None


def flush() -> None:
    """Export what is not exported yet: some of our processes end without a word."""
    provider: Any = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush(FLUSH_MS)


def traceparent() -> str | None:
    """Return the current span as a W3C `traceparent`, or None outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def span(name: str, *, parent: str | None, kind: SpanKind, **attributes: str) -> Iterator[Span]:
    """Run the block in a span that continues `parent`, a `traceparent`; else in one of its own."""
    context = _propagator.extract({"traceparent": parent}) if parent else None
    named = {f"agentcore.{key}": value for key, value in attributes.items()}
    with _tracer.start_as_current_span(name, context, kind, named) as current:
        yield current


def add_trace_id(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Name the current trace in a log line (a structlog processor)."""
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        event["trace_id"] = f"{found.trace_id:032x}"
    return event
