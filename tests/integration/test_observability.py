"""What an operator sees of one execution: log lines, metrics and a trace, through all processes."""

import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import docker
import httpx
import pytest
from celery import Celery
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import Api, Stack, free_port, own_stack, wait_until
from worker.sandbox.container import LABEL_EXECUTION

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CODE = "print('a word that no log, span or metric may hold')"
FLUSHED = 20  # seconds; spans are exported every half second here


class Collector(ThreadingHTTPServer):
    """Takes spans as any collector of OpenTelemetry does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[dict[str, Any]]:
        """Return all spans, with the service that each is from."""
        return [
            {
                "service": service,
                "name": span.name,
                "trace": span.trace_id.hex(),
                "id": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "events": [event.name for event in span.events],
                **{item.key: item.value.string_value for item in span.attributes},
            }
            for body in list(self.received)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for service in [_service(resource.resource.attributes)]
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def await_span(self, **wanted: str) -> dict[str, Any]:
        """Return the first span that has what is wanted, once it is here."""

        def found() -> list[dict[str, Any]]:
            return [span for span in self.spans() if wanted.items() <= span.items()]

        wait_until(lambda: bool(found()), FLUSHED, f"a span with {wanted}")
        return found()[0]


def _service(attributes: Any) -> str:
    return next(item.value.string_value for item in attributes if item.key == "service.name")


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Collector)
        self.server.received.append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def watched(
    sandbox_image: str, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Stack]:
    """A stack that exports its traces and serves all its metrics."""
    ports = {name: str(free_port()) for name in ("worker_metrics_port", "control_metrics_port")}
    ports["log_level"] = "debug"  # the most that any of them writes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "500")
        directory = tmp_path_factory.mktemp("watched")
        with own_stack(directory, image=sandbox_image, **ports) as stack:
            yield stack


@pytest.fixture(scope="module")
def watched_api(watched: Stack) -> Api:
    return watched.client("watched")


def _lines(stack: Stack, process: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stack.log(process).splitlines() if line.startswith("{")]


def _metrics(stack: Stack, process: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a process, by name and label values (in the order of their names)."""
    port = stack.environment[f"AGENTCORE_{process.upper()}_METRICS_PORT"]
    told = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }


def test_a_request_id_is_in_the_lines_of_the_api_and_of_the_worker(
    watched: Stack, watched_api: Api
) -> None:
    name = f"request-{uuid4().hex}"
    answer = watched_api.post(
        "/v1/executions?wait=30", json={"source": CODE}, headers={"X-Request-ID": name}
    )
    assert answer.headers["X-Request-ID"] == name

    def finished() -> list[dict[str, Any]]:
        lines = [line for line in _lines(watched, "run") if line.get("request_id") == name]
        return [line for line in lines if line["event"] == "finished"]

    wait_until(lambda: bool(finished()), 10, "the worker's line")
    assert finished()[0]["execution"] == answer.json()["id"]

    def answered() -> bool:
        return any(line.get("request_id") == name for line in _lines(watched, "api"))

    wait_until(answered, 10, "the API's line")


def test_a_trace_goes_from_the_caller_through_the_api_to_the_worker(
    watched_api: Api, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    answer = watched_api.post("/v1/executions?wait=30", json={"source": CODE}, headers=headers)
    execution = answer.json()["id"]
    ran = collector.await_span(**{"agentcore.execution": execution})
    asked = collector.await_span(id=ran["parent"])
    assert (asked["service"], asked["parent"], asked["trace"]) == ("agentcore-api", SPAN, TRACE)
    assert (ran["service"], ran["name"], ran["trace"]) == (
        "agentcore-worker",
        "agentcore.execute",
        TRACE,
    )
    assert ran["events"] == ["user_code_started"]
    assert (ran["agentcore.status"], ran["agentcore.attempt"]) == ("succeeded", "1")


def test_a_trace_goes_on_from_the_message_of_another_service(
    watched: Stack, watched_api: Api, collector: Collector
) -> None:
    url = watched.environment["AGENTCORE_BROKER_URL"]
    trace = uuid4().hex
    with Celery("another-service", broker=url, backend=url) as service:
        task = service.send_task(
            "agentcore.run",
            args=[{"source": "1/0"}],
            kwargs={"tenant": "watched"},
            queue="agentcore.control",
            headers={"traceparent": f"00-{trace}-{SPAN}-01"},
        )
        task.get(timeout=30)
    ran = collector.await_span(**{"agentcore.execution": task.id})
    assert (ran["trace"], ran["agentcore.reason"]) == (trace, "exit_nonzero")
    accepted = collector.await_span(id=ran["parent"])
    assert (accepted["service"], accepted["parent"]) == ("agentcore-control", SPAN)


def test_lines_of_a_traced_execution_name_the_trace(watched: Stack, watched_api: Api) -> None:
    trace = uuid4().hex
    headers = {"traceparent": f"00-{trace}-{SPAN}-01"}
    watched_api.post("/v1/executions?wait=30", json={"source": "1"}, headers=headers)

    def named() -> bool:
        return any(line.get("trace_id") == trace for line in _lines(watched, "run"))

    wait_until(named, 10, "the worker's line")


def test_metrics_tell_waits_durations_failures_and_sweeps(watched: Stack, watched_api: Api) -> None:
    before = _metrics(watched, "worker")

    def grown(*name: str) -> float:
        return _metrics(watched, "worker").get(name, 0) - before.get(name, 0)

    watched_api.run("import time; time.sleep(0.3)")
    watched_api.run("1", image="gone")
    # It is counted once it is recorded, which is what was waited for.
    missing = ("agentcore_worker_outcomes_total", "image_unavailable", "failed")
    wait_until(lambda: grown(*missing) == 1, 10, "the count")
    assert grown("agentcore_queue_wait_seconds_count") == 2
    assert 0 <= grown("agentcore_queue_wait_seconds_sum") < 60
    assert grown("agentcore_execution_seconds_count", "succeeded") == 1
    assert grown("agentcore_execution_seconds_sum", "succeeded") >= 0.3
    assert ("agentcore_swept_total", "expired") in _metrics(watched, "control")


def _has_started(api: Api, execution: str) -> bool:
    return api.get(f"/v1/executions/{execution}").json()["started_at"] is not None


def test_a_sandbox_that_fails_is_counted_by_its_reason(
    watched: Stack, watched_api: Api, engine: docker.DockerClient
) -> None:
    execution = watched_api.submit("import time; time.sleep(60)")["id"]
    started = partial(_has_started, watched_api, execution)
    wait_until(started, 20, "its start")
    label = f"{LABEL_EXECUTION}={execution}"
    for container in engine.containers.list(filters={"label": label}):
        container.remove(force=True)
    assert watched_api.outcome(execution)["reason"] == "sandbox_error"
    metrics = _metrics(watched, "worker")
    assert metrics[("agentcore_sandbox_failures_total", "sandbox_vanished")] >= 1


def test_the_api_tells_how_long_the_oldest_waits(watched: Stack, watched_api: Api) -> None:
    watched.stop("run")
    try:
        watched_api.submit("1")
        asked_at = time.monotonic()

        def oldest() -> float:
            families = text_string_to_metric_families(watched_api.get("/metrics").text)
            found = [item for item in families if item.name == "agentcore_oldest_queued_seconds"]
            return found[0].samples[0].value

        wait_until(lambda: oldest() > 0.5, 20, "a wait of half a second")
        assert oldest() <= time.monotonic() - asked_at + 5
    finally:
        watched.start("run")
        watched.wait_ready()


def test_probes_fill_no_traces(watched_api: Api, collector: Collector) -> None:
    for path in ("/health", "/health/ready", "/metrics"):
        watched_api.get(path)
    headers = {"traceparent": f"00-{uuid4().hex}-{SPAN}-01"}
    watched_api.get("/v1/profiles", headers=headers)
    collector.await_span(parent=SPAN, trace=headers["traceparent"].split("-")[1])
    told = str(collector.spans())
    assert "health" not in told
    assert "metrics" not in told


def test_a_stranger_begins_no_span(watched: Stack, watched_api: Api, collector: Collector) -> None:
    traces = [uuid4().hex, uuid4().hex]
    headers = {"traceparent": f"00-{traces[0]}-{SPAN}-01", "Authorization": "Bearer x"}
    assert httpx.get(f"{watched.url}/v1/executions?x=y", headers=headers).status_code == 401
    watched_api.get("/v1/profiles", headers={"traceparent": f"00-{traces[1]}-{SPAN}-01"})
    asked = collector.await_span(parent=SPAN, trace=traces[1])
    assert (asked["name"], asked["http.route"]) == ("GET /v1/profiles", "/v1/profiles")
    assert traces[0] not in str(collector.spans())


def test_a_trace_ends_with_its_request_and_not_with_its_connection(
    watched: Stack, watched_api: Api, collector: Collector
) -> None:
    traces = [uuid4().hex, uuid4().hex]
    headers = {"Authorization": f"Bearer {watched_api.key}"}
    # After a large body a server may go on in what the request has left.
    large = {"source": "1", "environment": {"A": "x" * 2_000_000}}
    with httpx.Client(base_url=watched.url, headers=headers) as client:
        traced = {"traceparent": f"00-{traces[0]}-{SPAN}-01"}
        client.post("/v1/executions", json=large, headers=traced)
        client.get("/v1/agents")
        client.get("/v1/profiles", headers={"traceparent": f"00-{traces[1]}-{SPAN}-01"})
    collector.await_span(parent=SPAN, trace=traces[1])
    of_first = [span["name"] for span in collector.spans() if span["trace"] == traces[0]]
    assert of_first == ["POST /v1/executions"]
    lines = [line for line in _lines(watched, "api") if line.get("trace_id") == traces[0]]
    assert {line["route"] for line in lines if line["event"] == "request"} == {"/v1/executions"}


def test_the_apis_line_names_the_trace(watched: Stack, watched_api: Api) -> None:
    trace = uuid4().hex
    watched_api.get("/v1/profiles", headers={"traceparent": f"00-{trace}-{SPAN}-01"})
    watched_api.get("/v1/agents")

    def lines() -> list[dict[str, Any]]:
        return [line for line in _lines(watched, "api") if line.get("trace_id") == trace]

    wait_until(lambda: bool(lines()), 10, "the API's line")
    assert [line["route"] for line in lines()] == ["/v1/profiles"]


def test_no_code_reaches_a_log_or_a_span(watched: Stack, collector: Collector) -> None:
    url = watched.environment["AGENTCORE_BROKER_URL"]
    with Celery("another-service", broker=url, backend=url) as service:
        for request in ({"source": CODE}, {"source": CODE, "unknown": CODE}):
            task = service.send_task(
                "agentcore.run",
                args=[request],
                kwargs={"tenant": "watched"},
                queue="agentcore.control",
            )
            task.get(timeout=30, propagate=False)
    for process in ("api", "run", "control", "beat"):
        assert "a word that no log" not in watched.log(process)
    assert not any(b"a word that no log" in body for body in collector.received)
