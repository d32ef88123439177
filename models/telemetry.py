"""Traces for OpenTelemetry where its standard variables ask for them; elsewhere nothing happens.

An execution continues the trace of its submit in whatever process runs it, and however its message
got there: the parent is in the database, with the execution.
"""

import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from models.errors import SettingsError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
PROPAGATORS = "OTEL_PROPAGATORS"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
FLUSH_SECONDS = 3.0  # for what is not exported yet, when a process ends
EXPORT_SECONDS = "3"  # for one export, where OTEL_EXPORTER_OTLP_TIMEOUT says nothing

_tracer = trace.get_tracer("agentcore")
_propagator = TraceContextTextMapPropagator()


def configure(service: str) -> None:
    """Export this process's spans, if an endpoint is set. Raises SettingsError.

    `service` is the name that they come from, unless OTEL_SERVICE_NAME says another.
    """
    # FastAPI imports what this names, and fails where it is not installed; `traceparent` is all
    # that we read.
    os.environ[PROPAGATORS] = "tracecontext"
    _read_headers()
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
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", EXPORT_SECONDS)
    try:
        # Without its own flush at exit, which has no limit.
        provider = TracerProvider(resource=Resource.create(), shutdown_on_exit=False)
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


def _read_headers() -> None:
    """Take the exporter's headers from a file: they may hold a token."""
    path = os.environ.get(f"{HEADERS}_FILE")
    if path and HEADERS not in os.environ:
        try:
            os.environ[HEADERS] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{HEADERS}_FILE: cannot read {path}: {error}") from error


def flush() -> None:
    """Export what is not exported yet, in FLUSH_SECONDS at most; then leave it.

    Some of our processes end without a word, and none may wait for a collector that hangs.
    """
    provider: Any = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        # The SDK's own limit is not kept: it may take ten seconds for each 512 spans.
        thread = threading.Thread(target=provider.force_flush, name="flush", daemon=True)
        thread.start()
        thread.join(FLUSH_SECONDS)


def traceparent() -> str | None:
    """Return the current span as a W3C `traceparent`, or None outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def span(name: str, *, parent: str | None, kind: SpanKind, **attributes: str) -> Iterator[Span]:
    """Run the block in a span that continues `parent`, a `traceparent`; else in one of its own."""
    # Never of the current span: a server may run a request in what another one has left.
    context = _propagator.extract({"traceparent": parent}, Context()) if parent else Context()
    named = {f"agentcore.{key}": value for key, value in attributes.items()}
    with _tracer.start_as_current_span(
        name,
        context,
        kind,
        named,
        # The text of an exception may quote what a tenant sent.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def add_trace_id(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Name the current trace in a log line (a structlog processor)."""
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        event["trace_id"] = f"{found.trace_id:032x}"
    return event
