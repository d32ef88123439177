"""A neighbour's round trip through the egress proxy beside floods of the smallest pieces."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import flood
from tests.benchmarks.rows import Row, measured
from tests.harness import ROOT, wait_until
from tests.integration.egress.support import (
    PIECE,
    Server,
    connect,
    echo,
    policy_for,
    read_head,
    serving,
)
from worker.sandbox.egress.client import EgressProxy, Gate
from worker.sandbox.egress.limits import MOST, Limits

TRIPS = 300  # of a byte to the server and back
ALONE = "round trip, alone"


def rows() -> list[Row]:
    """Measure, in some seconds; one gate's connections share that gate's turns."""
    with tempfile.TemporaryDirectory() as directory:
        proxy = EgressProxy(Path(directory) / "e")
        try:
            return measured("ms", _samples(proxy), ALONE)
        finally:
            proxy.close()


def _samples(proxy: EgressProxy) -> dict[str, list[float]]:
    with serving(swallow) as sink, serving(echo) as server:
        busy, quiet = gate_to(proxy, sink), gate_to(proxy, server)
        samples = {ALONE: round_trips(quiet, server)}
        for connections in (1, Limits().max_connections):
            with flooding(busy, sink, connections):
                name = f"round trip, beside {connections} uploads of a byte"
                samples[name] = round_trips(quiet, server)
        return samples


def gate_to(proxy: EgressProxy, server: Server) -> Gate:
    limits = Limits(max_requests=None, max_bytes_up=MOST)
    return proxy.open(policy_for(f"127.0.0.1:{server.port}"), limits)


@contextmanager
def flooding(gate: Gate, server: Server, connections: int) -> Iterator[None]:
    """Upload in the smallest pieces, from a process of its own."""
    before = used(gate)
    process = subprocess.Popen(
        [sys.executable, "-m", flood.__name__, str(gate.socket), f"127.0.0.1:{server.port}",
         str(connections)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_until(lambda: used(gate) > before + 100_000, what="the flood")
        yield
    finally:
        process.kill()
        process.communicate()


def swallow(client: socket.socket) -> None:
    """Read to the end, and keep nothing."""
    while client.recv(PIECE):
        pass


def used(gate: Gate) -> int:
    """Return how many bytes have gone out by a gate, as told twice a second."""
    return gate.opening()["earlier"]["bytes_up"]


def round_trips(gate: Gate, server: Server) -> list[float]:
    """Return the milliseconds that a byte needs to the server and back, each time."""
    with connect(gate.socket) as client:
        client.sendall(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n\r\n".encode())
        read_head(client)
        took = []
        for _ in range(TRIPS):
            began = time.perf_counter()
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            took.append((time.perf_counter() - began) * 1000)
    return took
