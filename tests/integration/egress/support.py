"""What the proxy's tests share: a proxy in this process, servers to reach, and raw clients."""

import asyncio
import logging
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from models.hosts import parse_rule
from tests.harness import missing, wait_until
from worker.sandbox.egress.decisions import Report
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.places import SOCKET
from worker.sandbox.egress.policy import Policy
from worker.sandbox.egress.server import ProxyServer

LOOPBACK = "127.0.0.0/8"
PIECE = 65_536  # bytes moved at once
PATIENCE = 30  # seconds until a silent peer is a failure


def policy_for(*allowed: str) -> Policy:
    """Allow these hosts, and loopback addresses for what their names resolve to."""
    # A ceiling's network without a port opens ports 80 and 443 alone.
    ports = {f":{rule.port}" if rule.port else "" for rule in map(parse_rule, allowed)}
    opening = [f"{LOOPBACK}{port}" for port in ports]
    return Policy.parsed([*allowed, LOOPBACK], ceiling=[*allowed, LOOPBACK, *opening])


class ProxyThread:
    """A proxy whose event loop runs in a thread, with names that the test decides on."""

    def __init__(self, root: Path) -> None:
        self.names: dict[str, Sequence[str] | Callable[[], Sequence[str]]] = {}
        self.looked_up: list[str] = []
        self._root, self._count = root, 0
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.faults: list[Any] = []
        self.loop.set_exception_handler(lambda _loop, context: self.faults.append(context))
        self._log = Told(self.faults)
        logging.getLogger("worker.sandbox.egress").addHandler(self._log)
        self.server = self._do(self._start())

    async def _start(self) -> ProxyServer:
        return ProxyServer(self._lookup)

    def _lookup(self, host: str) -> Sequence[Any]:
        self.looked_up.append(host)
        found = self.names.get(host)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [ip_address(text) for text in (found() if callable(found) else found)]

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def open(self, *allowed: str, policy: Policy | None = None, **limits: Any) -> "OpenGate":
        """Open a gate that lets these hosts through."""
        self._count += 1
        directory = self._root / str(self._count)
        rules = policy or policy_for(*allowed)

        async def open_it() -> None:
            self.server.open(directory, rules, Limits(**limits))

        self._do(open_it())
        return OpenGate(self, directory)

    def totals(self, directory: Path) -> dict[str, Any]:
        async def totals() -> dict[str, Any]:
            return self.server.totals()[str(directory)]

        return self._do(totals())

    def ended(self, directory: Path) -> int:
        return sum(self.totals(directory)["outcomes"].values())

    def close_gate(self, directory: Path) -> Report:
        return self._do(self.server.close(directory))

    def close(self) -> None:
        self._do(self.server.close_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
        logging.getLogger("worker.sandbox.egress").removeHandler(self._log)
        assert not self.faults, self.faults


class Told(logging.Handler):
    """Keeps what the proxy's own code logs as an error: a fault that no client may cause."""

    def __init__(self, kept: list[Any]) -> None:
        super().__init__(logging.ERROR)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(self.format(record))


class OpenGate:
    """A gate of a ProxyThread."""

    def __init__(self, proxy: ProxyThread, directory: Path) -> None:
        self._proxy, self.directory, self.path = proxy, directory, directory / SOCKET

    def totals(self) -> dict[str, Any]:
        return self._proxy.totals(self.directory)

    def close(self) -> Report:
        return self._proxy.close_gate(self.directory)

    def settle(self, count: int) -> Report:
        """Wait until so many requests have ended, and close the gate."""
        wait_until(lambda: self._proxy.ended(self.directory) >= count, what="their end")
        return self.close()

    def connect(self) -> socket.socket:
        return connect(self.path)

    def ask(self, data: bytes) -> bytes:
        """Send `data` on a connection of its own and return all that comes back."""
        with self.connect() as client:
            client.sendall(data)
            return read_all(client)


def connect(path: Path) -> socket.socket:
    """Return a connection to a gate."""
    client = socket.socket(socket.AF_UNIX)
    # Without a timeout: with one, a full queue is an error instead of a wait.
    client.connect(str(path))
    client.settimeout(PATIENCE)
    return client


def read_all(sock: socket.socket) -> bytes:
    """Return what comes until the end."""
    data = bytearray()
    with suppress(ConnectionError):
        while piece := sock.recv(PIECE):
            data += piece
    return bytes(data)


def read_head(sock: socket.socket) -> bytes:
    """Return what comes up to and with the first empty line."""
    data = bytearray()
    while not data.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, bytes(data)
        data += byte
    return bytes(data)


def status_of(answer: bytes) -> int:
    """Return the status of a response."""
    return int(answer.split(b" ")[1])


def denied_for(answer: bytes) -> str:
    """Return the reason in a refusal."""
    head = answer.partition(b"\r\n\r\n")[0].decode()
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        if name == "X-AgentCore-Denied":
            return value
    raise AssertionError(head)


class Server:
    """A TCP server whose every connection is handed to `talk` in a thread of its own."""

    def __init__(
        self, talk: Callable[[socket.socket], None], address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._talk = talk
        self._listener = socket.create_server((address, port), backlog=128)
        self.address, self.port = self._listener.getsockname()[:2]
        self.connections = 0
        self.open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    self.connections += 1
                    self.open.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE)
        with suppress(OSError), client:
            self._talk(client)
        with self._lock:
            self.open.discard(client)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for client in self.open:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(
    talk: Callable[[socket.socket], None], address: str = "127.0.0.1", port: int = 0
) -> Iterator[Server]:
    """A server for the time of a test."""
    try:
        server = Server(talk, address, port)
    except PermissionError:
        missing(f"only root may listen on port {port} here")
    try:
        yield server
    finally:
        server.close()


def own_loopback() -> str:
    """Return a loopback address that no other test uses, for servers on well-known ports."""
    return f"127.{random.randint(16, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"


def echo(client: socket.socket) -> None:
    """Send back whatever comes, and end when it ends."""
    while data := client.recv(PIECE):
        client.sendall(data)


class Forwarder:
    """What the supervisor does in a sandbox: hands each TCP connection to the gate's socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server = Server(self._talk)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.port = self._server.port

    def _talk(self, client: socket.socket) -> None:
        with connect(self._path) as gate:
            up = threading.Thread(target=_pump, args=(client, gate), daemon=True)
            up.start()
            _pump(gate, client)
            up.join(PATIENCE)

    def close(self) -> None:
        self._server.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(PIECE):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def in_future(work: Callable[[], Any]) -> "Future[Any]":
    """Run `work` in a thread."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
