"""The worker's side of the proxy, when the process at the other end does odd things."""

import errno
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT, wait_until
from tests.integration.egress.support import (
    PATIENCE,
    ProxyThread,
    connect,
    denied_for,
    in_future,
    policy_for,
    read_head,
)
from worker.sandbox.egress import child as child_module
from worker.sandbox.egress import client as client_module
from worker.sandbox.egress.child import Child
from worker.sandbox.egress.client import EgressProxy, Gate
from worker.sandbox.egress.errors import EgressUnavailableError, PlaceGoneError
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.places import MAX_SOCKET_PATH, SOCKET

REQUEST = b"CONNECT b.test:80 HTTP/1.1\r\n\r\n"

# Stands in for the proxy's package. Does something odd the first so many times, and then is it.
STAND_IN = """\
import os, sys, time
count = len(os.listdir({starts!r}))
open(os.path.join({starts!r}, str(count)), "w").close()
if count < {odd_times}:
    {odd}
    time.sleep(600)
os.chdir({root!r})
os.execv(sys.executable, [sys.executable, "-E", "-s", "-m", "worker.sandbox.egress"])
"""
ODD = {
    "a line nested too deep": "sys.stdout.write('[' * 1_000_000 + '\\n'); sys.stdout.flush()",
    "a line without an end": "sys.stdout.write('[' * 10_000_000)",
    "no object": "sys.stdout.write('[]\\n'); sys.stdout.flush()",
    "an answer to a strange question": "sys.stdout.write('{\"id\": []}\\n'); sys.stdout.flush()",
    "totals that are none": "sys.stdout.write('{\"totals\": 1}\\n'); sys.stdout.flush()",
}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Path]:
    """Let each proxy that is started do something odd, the first so many times."""

    def stand_in(what: str, times: int) -> Path:
        package, starts = tmp_path / "odd" / "worker" / "sandbox" / "egress", tmp_path / "starts"
        package.mkdir(parents=True)
        starts.mkdir()
        source = STAND_IN.format(starts=str(starts), odd_times=times, odd=what, root=str(ROOT))
        (package / "__main__.py").write_text(source)
        monkeypatch.setattr(child_module, "ROOT", tmp_path / "odd")
        return starts

    return stand_in


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], EgressProxy]]:
    proxies: list[EgressProxy] = []

    def start() -> EgressProxy:
        proxies.append(EgressProxy(tmp_path / "e"))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def opened(proxy: EgressProxy) -> Gate:
    """Open a gate, or fail in time: an opening that never ends must not hold up the tests."""
    return in_future(lambda: proxy.open(policy_for(), Limits())).result(PATIENCE)


def serves(gate: Gate) -> bool:
    with connect(gate.socket) as client:
        client.sendall(REQUEST)
        return denied_for(read_head(client)) == "host_not_allowed"


@pytest.mark.parametrize("what", ODD)
def test_a_proxy_that_does_odd_things_is_replaced(
    odd: Callable[[str, int], Path], started: Callable[[], EgressProxy], what: str
) -> None:
    starts = odd(ODD[what], 2)
    gate = opened(started())
    assert serves(gate)
    assert len(list(starts.iterdir())) == 3
    gate.close()


@pytest.mark.parametrize("what", ODD)
def test_an_opening_ends_in_time_and_waits_without_work_if_no_proxy_is_sane(
    odd: Callable[[str, int], Path],
    started: Callable[[], EgressProxy],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    monkeypatch.setattr(client_module, "CALL_SECONDS", 2.0)
    odd(ODD[what], 1000)
    proxy = started()
    busy = time.process_time()
    with pytest.raises(EgressUnavailableError):
        opened(proxy)
    # One that asks a dead process again and again takes all of the two seconds.
    assert time.process_time() - busy < 1.2


def test_a_proxy_that_lives_and_takes_nothing_in_is_replaced(
    odd: Callable[[str, int], Path], started: Callable[[], EgressProxy]
) -> None:
    starts = odd("os.close(0); os.mkdir('deaf')", 1)
    proxy = started()
    wait_until(lambda: (starts.parent / "odd" / "deaf").exists())
    assert serves(opened(proxy))
    assert len([path for path in starts.iterdir() if path.is_file()]) == 2


def test_a_fault_in_starting_the_proxy_does_not_end_the_worker_s_care_for_it(
    started: Callable[[], EgressProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [RuntimeError("out of threads"), MemoryError(), RecursionError()]

    def start() -> Child:
        if faults:
            raise faults.pop()
        return Child()

    monkeypatch.setattr(client_module, "Child", start)
    assert serves(opened(started()))
    assert not faults


def test_a_fault_before_the_proxy_is_listened_to_leaves_no_process_behind(
    started: Callable[[], EgressProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Child] = []
    whole = EgressProxy._reopen

    def reopen(proxy: EgressProxy, child: Child) -> None:
        made.append(child)
        if len(made) == 1:
            raise RuntimeError
        whole(proxy, child)

    monkeypatch.setattr(EgressProxy, "_reopen", reopen)
    assert serves(opened(started()))
    assert not Path(f"/proc/{made[0].pid}").exists()


def test_no_gate_stays_open_without_an_owner(
    started: Callable[[], EgressProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = started()
    opened(proxy)
    given_up: list[Gate] = []
    forget = proxy._forget

    def late(gate: Gate) -> None:
        # The proxy that did not answer has been replaced before the gate is forgotten.
        given_up.append(gate)
        wait_until(lambda: str(gate.directory / SOCKET) in Path("/proc/net/unix").read_text())
        forget(gate)

    def call(self: Child, message: dict[str, Any], deadline: float) -> dict[str, Any]:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(proxy, "_forget", late)
        patched.setattr(Child, "call", call)
        with pytest.raises(EgressUnavailableError, match="does not answer"):
            opened(proxy)
    path = str(given_up[0].directory / SOCKET)
    wait_until(lambda: path not in Path("/proc/net/unix").read_text(), what="the gate's end")
    assert not given_up[0].directory.exists()


def test_a_worker_s_place_that_was_removed_is_told_apart(
    started: Callable[[], EgressProxy],
) -> None:
    proxy = started()
    gate = opened(proxy)
    shutil.rmtree(gate.directory.parent)
    with pytest.raises(PlaceGoneError):
        opened(proxy)
    gate.close()
    proxy.close()
    assert serves(opened(started()))


def test_no_two_gates_have_the_same_place(
    started: Callable[[], EgressProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["00", "00", "00", "01"])
    monkeypatch.setattr(client_module.secrets, "token_hex", lambda _size: next(drawn))
    proxy = started()
    one, other = opened(proxy), opened(proxy)
    assert one.directory != other.directory
    one.close()
    assert serves(other)


@pytest.mark.parametrize(("room", "length"), [(16, 16), (15, 8), (8, 8)])
def test_a_gate_s_name_is_as_long_as_its_path_allows(room: int, length: int) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a test's own folder may be too deep
        # Of `ROOT/w-12345678/NAME/egress.sock`.
        taken = len(short) + len("//w-12345678//") + len(SOCKET)
        proxy = EgressProxy(Path(short) / ("e" * (MAX_SOCKET_PATH - taken - room)))
        try:
            assert len(opened(proxy).directory.name) == length
        finally:
            proxy.close()


@pytest.mark.parametrize("times", [1, 40])
def test_a_gate_that_cannot_wait_for_clients_tries_again(
    proxy: ProxyThread, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    add_reader, failed = proxy.loop.add_reader, [0]

    def flaky(*arguments: Any) -> None:
        failed[0] += 1
        if failed[0] <= times:
            raise OSError(errno.ENOSPC, "no room for another watch")
        add_reader(*arguments)

    monkeypatch.setattr(proxy.loop, "add_reader", flaky)
    monkeypatch.setattr("worker.sandbox.egress.gate.PAUSE_SECONDS", 0.01)
    # Forty times are more than the places that a gate has.
    gate = proxy.open("a.test", max_connections=1)
    assert denied_for(gate.ask(REQUEST)) == "host_not_allowed"
    assert failed[0] > times


def test_a_gate_that_takes_nobody_in_any_more_is_told(
    proxy: ProxyThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(proxy.loop, "add_reader", broken)
    gate = proxy.open("a.test")
    wait_until(lambda: any("takes nobody in" in str(fault) for fault in proxy.faults))
    gate.close()
    proxy.faults.clear()


def test_a_proxy_that_hangs_is_replaced_without_being_asked(
    started: Callable[[], EgressProxy],
) -> None:
    proxy = started()
    gate = opened(proxy)
    hung = proxy.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    silence = child_module.SILENCE_SECONDS
    wait_until(lambda: proxy.pid not in (None, hung), silence + 20, "another proxy")

    def serves_again() -> bool:
        try:
            return serves(gate)
        except OSError:
            return False  # not yet listening

    wait_until(serves_again, 20, "the gate")
    assert gate.close().restarts == 1
