"""Traces are exported where the standard variables ask for them, and wrong ones are named."""

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from models import telemetry
from models.errors import SettingsError
from tests.harness import ROOT

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in (ENDPOINT, "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


def _modules(**environment):
    """Return what a process has loaded once it has set up its traces."""
    script = (
        "import sys; from models import telemetry; telemetry.configure('x'); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("environment", "exports"),
    [
        ({}, False),
        ({ENDPOINT: "http://127.0.0.1:9"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({ENDPOINT: "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_nothing_is_loaded_where_nobody_asks_for_traces(environment, exports):
    assert ("opentelemetry.sdk.trace" in _modules(**environment)) is exports


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "collector:4318"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_variable(monkeypatch, name, value):
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        telemetry.configure("x")


def test_the_exporters_headers_may_be_in_a_file(monkeypatch, tmp_path):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_HEADERS_FILE"):
        telemetry.configure("x")
    (tmp_path / "headers").write_text("authorization=secret\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS_FILE", str(tmp_path / "headers"))
    with monkeypatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "plain=1")
        telemetry.configure("x")
        assert os.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "plain=1", "the plain one holds"
    monkeypatch.setattr(os, "environ", dict(os.environ))
    telemetry.configure("x")
    assert os.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=secret"


def test_a_collector_that_hangs_does_not_hold_the_end(monkeypatch):
    hung = threading.Event()
    provider = SimpleNamespace(force_flush=hung.wait)
    monkeypatch.setattr(telemetry.trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(telemetry, "FLUSH_SECONDS", 0.05)
    telemetry.flush()
    assert not hung.is_set()
    hung.set()


def test_a_span_keeps_the_kind_of_an_error_and_none_of_its_words(monkeypatch):
    ended = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ended))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("x"))
    with (
        pytest.raises(ValueError, match="secret"),
        telemetry.span("x", parent=None, kind=SpanKind.CONSUMER),
    ):
        raise ValueError("secret")
    (span,) = ended.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "secret" not in span.to_json()


def test_outside_of_a_span_there_is_no_parent_and_no_trace_in_a_line():
    assert telemetry.traceparent() is None
    assert telemetry.add_trace_id(None, "info", {"event": "x"}) == {"event": "x"}


@pytest.mark.parametrize(
    "parent", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
def test_what_is_no_parent_is_none(parent):
    with telemetry.span("x", parent=parent, kind=SpanKind.CONSUMER):
        assert telemetry.traceparent() is None


def test_without_a_parent_a_span_is_the_first_of_its_trace():
    with (
        telemetry.span("other", parent=PARENT, kind=SpanKind.SERVER),
        telemetry.span("x", parent=None, kind=SpanKind.SERVER),
    ):
        assert telemetry.traceparent() is None  # nothing is exported here


def test_a_parent_goes_on_into_the_block_and_its_lines():
    with telemetry.span("x", parent=PARENT, kind=SpanKind.CONSUMER):
        assert telemetry.traceparent() == PARENT  # nothing is exported here, so it is passed on
        line = telemetry.add_trace_id(None, "info", {})
    assert line == {"trace_id": PARENT.split("-")[1]}
