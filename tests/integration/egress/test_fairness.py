"""What a neighbour notices of a busy gate: the process's one loop is shared out by gates."""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import ROOT, wait_until
from tests.integration.egress import flood
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


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[EgressProxy]:
    """The proxy in a process of its own."""
    running = EgressProxy(tmp_path / "e")
    yield running
    running.close()


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


def round_trip(gate: Gate, server: Server) -> float:
    """Return the seconds that a byte needs to the server and back, in the median."""
    with connect(gate.socket) as client:
        client.sendall(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n\r\n".encode())
        read_head(client)
        took = []
        for _ in range(300):
            began = time.perf_counter()
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def test_a_gate_with_many_busy_connections_has_no_more_of_the_proxy_than_one_with_few(
    proxy: EgressProxy,
) -> None:
    with serving(swallow) as sink, serving(echo) as server:
        busy, quiet = gate_to(proxy, sink), gate_to(proxy, server)
        with flooding(busy, sink, 1):
            beside_one = round_trip(quiet, server)
        with flooding(busy, sink, Limits().max_connections):
            beside_many = round_trip(quiet, server)
    # Both are beside a flood that keeps the process busy, on this machine as it is now. Without
    # turns, thirty-two connections cost a neighbour some twenty times what one does.
    assert beside_many < beside_one * 8
