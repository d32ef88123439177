"""Calls to the engine share their connections, whatever they are about."""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from worker.sandbox.client import EngineClient

CALLS = 5


class Engine(socketserver.ThreadingUnixStreamServer):
    """Answers as an engine does, and counts who connects."""

    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), Handler)
        self.connections = 0
        self.paths = []

    def get_request(self):
        self.connections += 1
        request, _ = super().get_request()
        return request, ("", 0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.paths.append(self.path)
        body = json.dumps({"ApiVersion": "1.41", "Id": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def engine(tmp_path_factory, monkeypatch):
    # The path of a socket may not be long.
    path = Path(tmp_path_factory.mktemp("e")) / "d.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with Engine(path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_one_after_the_other_takes_one_connection_for_all_containers(engine):
    api = EngineClient(5).api
    before = engine.connections
    found = [api.inspect_container(f"c{number}")["Id"] for number in range(CALLS)]
    assert found == [f"/v1.41/containers/c{number}/json" for number in range(CALLS)]
    assert engine.connections - before <= 1


def test_a_connection_that_the_engine_closes_is_made_anew(engine):
    api = EngineClient(5).api
    adapter = api.get_adapter(api.base_url)
    (pool,) = [adapter.pools[key] for key in adapter.pools.keys()]  # noqa: SIM118 - no mapping
    pool.pool.queue[-1].sock.shutdown(2)
    assert api.inspect_container("c")["Id"] == "/v1.41/containers/c/json"
