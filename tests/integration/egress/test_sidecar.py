"""The proxy by itself, as it stands beside a program in a pod."""

import fcntl
import json
import select
import signal
import socket
import stat
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.harness import free_port, wait_until
from tests.integration.egress.support import (
    PATIENCE,
    connect,
    denied_for,
    echo,
    read_all,
    read_head,
    serving,
    status_of,
)

COMMAND = [sys.executable, "-m", "worker.sandbox.egress"]


@contextmanager
def sidecar(*options: str) -> Iterator[tuple[subprocess.Popen[str], str | list[object]]]:
    """Run the proxy; give its process and where it listens."""
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    try:
        first = json.loads(process.stdout.readline())
        assert first["event"] == "listening"
        yield process, first["address"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def finish(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> list[dict]:
    """End the proxy by a signal, as a pod does, and return what it has printed."""
    process.send_signal(number)
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return [json.loads(line) for line in printed.splitlines()]


def test_it_serves_on_loopback_and_prints_each_decision() -> None:
    with serving(echo) as server:
        target = f"127.0.0.1:{server.port}"
        options = ["--allow", target, "--max-requests", "1", "--listen", "127.0.0.1:0"]
        with sidecar(*options) as (process, address):
            for _ in range(2):
                with socket.create_connection(tuple(address), PATIENCE) as client:
                    client.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
                    last = read_head(client)
            assert denied_for(last) == "quota_exceeded"
            lines = finish(process)
    decisions = [line for line in lines if line["event"] == "decision"]
    assert sorted(line["allowed"] for line in decisions) == [False, True]
    assert {line["host"] for line in decisions} == {"127.0.0.1"}
    assert lines[-1]["event"] == "totals"
    assert (lines[-1]["requests"], lines[-1]["denied"]) == (1, 1)


def test_a_client_that_is_still_sending_hears_why_it_is_refused() -> None:
    with (
        sidecar("--listen", "127.0.0.1:0") as (_, address),
        socket.create_connection(tuple(address), PATIENCE) as client,
    ):
        head = b"POST http://b.test/ HTTP/1.1\r\nHost: b.test\r\nContent-Length: 900000\r\n\r\n"
        client.sendall(head)
        answered, _, _ = select.select([client], [], [], PATIENCE)
        assert answered
        # A connection that is simply closed would be reset by what still comes.
        for _ in range(9):
            client.sendall(bytes(100_000))
        assert denied_for(read_all(client)) == "host_not_allowed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_on_a_path_and_takes_it_away_again(tmp_path: Path, number: int) -> None:
    path = tmp_path / "egress.sock"
    with sidecar("--listen", str(path), "--allow", "a.test") as (process, _):
        with connect(path) as client:
            client.sendall(b"CONNECT b.test:443 HTTP/1.1\r\n\r\n")
            assert denied_for(read_head(client)) == "host_not_allowed"
        assert stat.S_ISSOCK(path.stat().st_mode)
        finish(process, number)
    assert not path.exists()


def test_a_socket_left_by_a_dead_one_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "egress.sock"
    with sidecar("--listen", str(path)) as (process, _):
        process.kill()
        process.wait()
    assert path.exists()
    with sidecar("--listen", str(path)) as (process, _):
        finish(process)
    path.write_text("somebody's")
    done = subprocess.run([*COMMAND, "--listen", str(path)], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert path.read_text() == "somebody's"


def test_what_is_denied_wins_over_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    options = ["--allow", "*.a.test", "--deny", "b.a.test", "--listen", str(path)]
    with sidecar(*options), connect(path) as client:
        client.sendall(b"CONNECT b.a.test:443 HTTP/1.1\r\n\r\n")
        assert denied_for(read_head(client)) == "host_denied"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--listen"),
        (["--listen", "0.0.0.0:0"], "--any-interface"),
        (["--listen", "[::]:0"], "--any-interface"),
        (["--listen", "3128"], "ADDRESS:PORT"),
        (["--listen", "localhost:0"], "localhost"),
        (["--listen", "127.0.0.1:0", "--allow", "10.0.0.1/8"], "CIDR"),
        (["--listen", "127.0.0.1:0", "--allow", "exa mple"], "host name"),
        (["--listen", "127.0.0.1:0", "--max-connections", "0"], "max_connections"),
        (["--listen", "127.0.0.1:0", "--idle-seconds", "soon"], "idle-seconds"),
    ],
)
def test_a_wrong_option_is_told_in_words(options: list[str], words: str) -> None:
    done = subprocess.run(
        [*COMMAND, *(options or ["--allow", "a"])], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]


def test_a_port_that_is_taken_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [*COMMAND, "--listen", place], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == f"error: cannot listen on {place}: Address already in use\n"


def test_help_says_what_a_person_needs() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for word in ("--allow", "--listen", "NetworkPolicy", "JSON", "exit code", "*.example.com"):
        assert word in done.stdout


def test_a_reader_that_does_not_read_stops_neither_the_proxy_nor_its_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with sidecar("--listen", str(path), "--accept-rate", "100000") as (process, _):
        # A small pipe that nobody reads: half of these decisions fill it.
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)

        def ask() -> int:
            with connect(path) as client:
                client.sendall(b"CONNECT " + b"a" * 60 + b".test:80 HTTP/1.1\r\n\r\n")
                return status_of(read_head(client))

        for _ in range(40):
            assert ask() == 403
        wait_until(lambda: pending(process.stdout) > 3000, what="a full pipe")
        assert ask() == 403
        process.terminate()
        assert process.wait(PATIENCE) == 0


def pending(pipe: IO[str]) -> int:
    """Return how many bytes wait in a pipe."""
    size = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(size, sys.byteorder)


def test_without_a_worker_at_its_input_it_says_how_it_is_used() -> None:
    done = subprocess.run(
        COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "--listen" in done.stderr
