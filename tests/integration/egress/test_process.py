"""The proxy as a process of its own: what it is given, and what is left when parts die."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness import missing, wait_until
from tests.integration.egress.support import (
    Server,
    connect,
    denied_for,
    echo,
    policy_for,
    read_all,
    read_head,
    serving,
    status_of,
)
from worker.sandbox.egress import child as child_module
from worker.sandbox.egress import client as client_module
from worker.sandbox.egress.client import EgressProxy, Gate
from worker.sandbox.egress.errors import EgressUnavailableError, SocketPathError
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.places import SOCKET


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(echo) as running:
        yield running


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[EgressProxy]:
    running = EgressProxy(tmp_path / "e")
    yield running
    running.close()
    assert list((tmp_path / "e").iterdir()) == []


def gate_to(proxy: EgressProxy, server: Server, **limits: object) -> Gate:
    return proxy.open(policy_for(f"127.0.0.1:{server.port}"), Limits(**limits))


def ask(gate: Gate, server: Server) -> bytes:
    """Ask for a tunnel and return the first answer, without the tunnel."""
    with connect(gate.socket) as client:
        client.sendall(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n\r\n".encode())
        return read_head(client)


def ask_again(gate: Gate, server: Server) -> bytes:
    """Ask until the gate is open once more."""

    def answer() -> bytes:
        with suppress(OSError, AssertionError):
            return ask(gate, server)
        return b""

    return wait_until(answer, what="the gate's opening")


def test_a_gate_serves_and_reports_and_leaves_nothing(proxy: EgressProxy, server: Server) -> None:
    gate = gate_to(proxy, server, max_requests=1)
    assert status_of(ask(gate, server)) == 200
    assert denied_for(ask(gate, server)) == "quota_exceeded"
    wait_until(lambda: sum(gate.opening()["earlier"]["outcomes"].values()) == 2)
    report = gate.close()
    assert (report.requests, report.denied, report.restarts) == (1, 1, 0)
    assert report.outcomes["quota_exceeded"] == 1
    assert not gate.directory.exists()
    assert gate.close() == report


def test_the_process_has_no_secret_and_no_more_than_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://secret")
    monkeypatch.setenv("LOCALDOMAIN", "corp.secret")
    proxy = EgressProxy(tmp_path / "e")
    try:
        wait_until(lambda: proxy.pid)
        environment = Path(f"/proc/{proxy.pid}/environ").read_bytes()
        assert b"secret" not in environment
        assert b"AGENTCORE" not in environment
        # Standard streams, and what an event loop has: no lock, no file, no database.
        for path in Path(f"/proc/{proxy.pid}/fd").iterdir():
            assert not str(path.readlink()).startswith(str(tmp_path))
    finally:
        proxy.close()


def test_the_process_loads_neither_engine_nor_database_nor_broker() -> None:
    def loaded(*modules: str) -> set[str]:
        source = f"import {', '.join(('json', 'sys', *modules))}\nprint(json.dumps([*sys.modules]))"
        done = subprocess.run(
            [sys.executable, "-c", source], capture_output=True, check=True, timeout=60
        )
        return {name.split(".")[0] for name in json.loads(done.stdout)}

    parts = [f"worker.sandbox.egress.{name}" for name in ("__main__", "control", "sidecar")]
    # What this environment's interpreter loads by itself is not ours.
    strange = loaded(*parts) - loaded() - set(sys.stdlib_module_names)
    assert strange == {"worker", "models", "idna"}


def test_a_proxy_that_dies_is_replaced_at_the_same_place_and_goes_on_counting(
    proxy: EgressProxy, server: Server
) -> None:
    gate = gate_to(proxy, server, max_requests=3)
    inode = gate.directory.stat().st_ino
    for _ in range(2):
        assert status_of(ask(gate, server)) == 200
    wait_until(lambda: gate.opening()["earlier"]["requests"] == 2)
    first = proxy.pid
    with connect(gate.socket) as open_one:
        os.kill(first, signal.SIGKILL)
        assert read_all(open_one) == b""
    assert status_of(ask_again(gate, server)) == 200
    assert proxy.pid != first
    assert gate.directory.stat().st_ino == inode  # what a sandbox has mounted is still it
    assert denied_for(ask(gate, server)) == "quota_exceeded"
    report = gate.close()
    assert (report.requests, report.restarts) == (3, 1)


def test_what_was_used_is_known_within_a_second_even_if_nobody_asks(
    proxy: EgressProxy, server: Server
) -> None:
    gate = gate_to(proxy, server, max_requests=1)
    ask(gate, server)
    wait_until(lambda: gate.opening()["earlier"]["requests"] == 1)
    os.kill(proxy.pid, signal.SIGKILL)
    assert denied_for(ask_again(gate, server)) == "quota_exceeded"


def test_a_proxy_that_dies_again_and_again_is_still_replaced(
    proxy: EgressProxy, server: Server
) -> None:
    gate = gate_to(proxy, server)
    for _ in range(3):
        os.kill(wait_until(lambda: proxy.pid), signal.SIGKILL)
        assert status_of(ask_again(gate, server)) == 200
    assert gate.close().restarts == 3


def test_a_gate_can_be_closed_though_the_proxy_is_dead(
    proxy: EgressProxy, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_to(proxy, server)
    ask(gate, server)
    wait_until(lambda: gate.opening()["earlier"]["requests"] == 1)
    monkeypatch.setattr(client_module, "CALL_SECONDS", 1.0)
    monkeypatch.setattr(child_module, "ROOT", Path("/nonexistent"))
    os.kill(proxy.pid, signal.SIGKILL)
    report = gate.close()
    assert report.requests == 1
    assert not gate.directory.exists()
    with pytest.raises(EgressUnavailableError):
        gate_to(proxy, server)


def test_a_proxy_that_hangs_is_found_out_and_replaced(
    proxy: EgressProxy, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_to(proxy, server)
    monkeypatch.setattr(client_module, "CALL_SECONDS", 0.5)
    hung = proxy.pid
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(EgressUnavailableError, match="does not answer"):
        gate_to(proxy, server)
    monkeypatch.setattr(client_module, "CALL_SECONDS", 15.0)
    assert status_of(ask_again(gate, server)) == 200
    assert proxy.pid != hung
    # The gate that nobody was given is not there, whichever of the two was told to open it.
    wait_until(lambda: list(gate.directory.parent.iterdir()) == [gate.directory])


def test_a_signal_to_the_whole_service_leaves_the_proxy_to_the_worker(
    proxy: EgressProxy, server: Server
) -> None:
    gate = gate_to(proxy, server)
    pid = proxy.pid
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert status_of(ask(gate, server)) == 200
    assert proxy.pid == pid


def test_many_threads_may_open_and_close_gates(proxy: EgressProxy, server: Server) -> None:
    def one(_number: int) -> int:
        gate = gate_to(proxy, server)
        assert status_of(ask(gate, server)) == 200
        return gate.close().requests

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(one, range(60))) == [1] * 60


def test_gates_have_sockets_of_their_own_in_a_private_place(
    proxy: EgressProxy, server: Server, tmp_path: Path
) -> None:
    one, other = gate_to(proxy, server), gate_to(proxy, server)
    assert one.directory != other.directory
    assert [path.name for path in one.directory.iterdir()] == [SOCKET]
    assert (tmp_path / "e").stat().st_mode & 0o777 == 0o700
    assert one.directory.parent.stat().st_mode & 0o777 == 0o700
    one.close()
    assert status_of(ask(other, server)) == 200


def test_a_place_too_long_for_sockets_is_refused_before_anything_runs(tmp_path: Path) -> None:
    root = tmp_path / ("a" * 100)
    proxy = EgressProxy(root)
    try:
        with pytest.raises(SocketPathError, match="at most 107"):
            proxy.open(policy_for(), Limits())
    finally:
        proxy.close()


def test_a_closed_proxy_opens_nothing(tmp_path: Path) -> None:
    proxy = EgressProxy(tmp_path / "e")
    proxy.close()
    with pytest.raises(EgressUnavailableError):
        proxy.open(policy_for(), Limits())


def test_a_killed_workers_proxy_ends_and_removes_its_gates(tmp_path: Path) -> None:
    source = (
        "import sys; from pathlib import Path\n"
        "from worker.sandbox.egress.client import EgressProxy\n"
        "from worker.sandbox.egress.limits import Limits\n"
        "from worker.sandbox.egress.policy import Policy\n"
        f"proxy = EgressProxy(Path({str(tmp_path / 'e')!r}))\n"
        "gate = proxy.open(Policy.parsed([]), Limits())\n"
        "print(proxy.pid, gate.directory, flush=True); sys.stdin.read()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid, directory = worker.stdout.readline().split()
    worker.kill()
    worker.communicate()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the proxy's end")
    assert not Path(directory).exists()
    # The rest of its place goes when the next worker starts.
    EgressProxy(tmp_path / "e").close()
    assert list((tmp_path / "e").iterdir()) == []


def test_opening_is_not_lost_when_the_proxy_dies_meanwhile(
    proxy: EgressProxy, server: Server
) -> None:
    stop = threading.Event()

    def killer() -> None:
        while not stop.wait(0.15):
            pid = proxy.pid
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killing = threading.Thread(target=killer)
    killing.start()
    try:
        wait_until(lambda: proxy.pid)
        stop_soon = threading.Timer(1.0, stop.set)
        stop_soon.start()
        gates = [gate_to(proxy, server) for _ in range(3)]
    finally:
        stop.set()
        killing.join(30)
    for gate in gates:
        assert status_of(ask_again(gate, server)) == 200
        gate.close()


def test_another_user_of_the_host_cannot_reach_a_gate(server: Server) -> None:
    if os.geteuid() != 0:
        missing("only root can try it as somebody else")
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        root = Path(parent, "e")
        proxy = EgressProxy(root)
        gate = gate_to(proxy, server)
        source = (
            "import os, socket; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"socket.socket(socket.AF_UNIX).connect({str(gate.socket)!r})"
        )
        as_nobody = [sys.executable, "-c", source]
        refused = subprocess.run(as_nobody, capture_output=True, text=True, timeout=60)
        # As it is for a sandbox's user, who sees the gate's own directory alone.
        for directory in (root, gate.directory.parent):
            directory.chmod(0o755)
        let_in = subprocess.run(as_nobody, capture_output=True, text=True, timeout=60)
        proxy.close()
    assert "PermissionError" in refused.stderr
    assert (let_in.returncode, let_in.stderr) == (0, "")
