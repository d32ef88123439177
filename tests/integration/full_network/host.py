"""A host of a test's own: a network namespace with a Docker engine, and a world outside of it.

The machine's own interfaces, rules and engine are not touched: what is made in a namespace is gone
with it. The folder of the engine and its processes are those of tests/own_engine.py.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import docker

from tests import own_engine
from tests.harness import ROOT, missing
from tests.integration.full_network.namespaces import (
    NAMESPACES,
    close,
    inside,
    ip,
    namespace,
    serve,
    serve_names,
)
from worker.sandbox.full_network import BRIDGE, NETWORK, ensure_network

PROGRAMS = ("ip", "iptables-save", "iptables-restore", "dockerd", "containerd")

# Addresses that are nobody's (RFC 5737): the host's way out, and who is there.
HOST, ROUTER, STRANGER = "198.51.100.1", "198.51.100.2", "203.0.113.10"
# What answers on port 80 outside, as a cloud would; the second serves names, too.
METADATA = ("169.254.169.254", "169.254.169.253", "100.100.100.200", "168.63.129.16", "192.0.0.192")
NAME_SERVER = METADATA[1]
GATEWAY = "172.31.0.1"  # the host on the sandboxes' network
HOST_PORT = 8000  # the host serves it on every address

# Prints what becomes of a TCP connection to each target: "open", an errno's name, or "silent".
CONNECT = """\
import errno, json, socket, sys, threading
def reach(target):
    try:
        socket.create_connection(target, timeout=1).close()
        found[f"{target[0]}:{target[1]}"] = "open"
    except TimeoutError:
        found[f"{target[0]}:{target[1]}"] = "silent"
    except OSError as error:
        found[f"{target[0]}:{target[1]}"] = errno.errorcode[error.errno]
found = {}
threads = [threading.Thread(target=reach, args=(each,)) for each in json.loads(sys.argv[1])]
[each.start() for each in threads]
[each.join() for each in threads]
print(json.dumps(found))
"""
SERVE = """\
import socket
server = socket.create_server(("", 8080))
print("ready", flush=True)
while True:
    server.accept()[0].close()
"""
COMMAND = """\
import sys
from worker.full_network_rules.command import main
sys.exit(main())
"""


class Host:
    """The engine's host, and what a test does there."""

    def __init__(self, client: docker.DockerClient, image: str, name: str) -> None:
        self.client = client
        self.image = image
        self.name = name

    def run(self, *command: str, text: str = "", check: bool = True) -> str:
        """Run a program on the host; return what it printed."""
        with inside(self.name):
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, cwd=ROOT, timeout=60
            )
        assert not check or done.returncode == 0, (command, done.stderr)
        return done.stdout

    def command(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run the operator's command; return its exit code and what it says."""
        with inside(self.name):
            done = subprocess.run(
                [sys.executable, "-c", COMMAND, *words, "--json"],
                capture_output=True, text=True, cwd=ROOT, timeout=60,
            )  # fmt: skip
        assert not done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    def rules(self) -> list[str]:
        """Return all rules in force, and all chains but the kernel's, for both versions of IP."""
        texts = [self.run("iptables-save"), self.run("ip6tables-save")]
        lines = [line for text in texts for line in text.splitlines()]
        return [line for line in lines if line.startswith("-A") or line.endswith(" - [0:0]")]

    def program(self, source: str, *words: str, **options: Any) -> Any:
        """Run a program in a sandbox as the worker would start it; return the JSON it prints."""
        out = self.client.containers.run(
            self.image,
            ["-c", source, *words],
            entrypoint=["python3", "-I", "-S"],
            user="1000:1000",
            cap_drop=["ALL"],
            remove=True,
            **options,
        )
        return json.loads(out)

    def reach(self, network: str, *targets: tuple[str, int]) -> dict[str, str]:
        """Return what becomes of connections from a sandbox on a network, by `address:port`."""
        found: dict[str, str] = self.program(CONNECT, json.dumps(targets), network=network)
        return found

    def reach_from_host(self, *targets: tuple[str, int]) -> dict[str, str]:
        """The same, from the host itself."""
        found: dict[str, str] = json.loads(
            self.run(sys.executable, "-c", CONNECT, json.dumps(targets))
        )
        return found

    @contextmanager
    def serving(self, network: str, **options: Any) -> Iterator[str]:
        """A container that serves port 8080; yields its address."""
        container = self.client.containers.run(
            self.image, ["-c", SERVE], entrypoint=["python3"], network=network, detach=True,
            **options,
        )  # fmt: skip
        try:
            assert next(iter(container.logs(stream=True))) == b"ready\n"
            container.reload()
            yield container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
        finally:
            container.remove(force=True)


class Restartable(Host):
    """A host whose engine may be restarted."""

    def __init__(self, engine: own_engine.OwnEngine, image: str, name: str) -> None:
        super().__init__(engine.client, image, name)
        self.url = engine.url
        self._engine = engine

    def restart_engine(self, *, killed: bool) -> None:
        """Restart dockerd, in order or as after a crash."""
        if killed:
            self._engine.kill()
        else:
            self._engine.terminate()
            self._engine.stopped()
        with inside(self.name):
            self._engine.start()


@contextmanager
def made_host(logs: Path, images_of: docker.DockerClient, image: str) -> Iterator[Restartable]:
    """Make host and outside, and start the engine; skip where that cannot be."""
    _look_for_programs()
    before = _of_ours()
    with namespace("host") as host, namespace("outside") as outside, ExitStack() as ends:
        _connect(host, outside)
        servers = serve(outside, 80), serve_names(outside, NAME_SERVER, STRANGER)
        for server in (*servers, serve(host, HOST_PORT)):
            ends.callback(close, server)
        try:
            with inside(host):
                own = own_engine.own_engine(logs, images_of, image, has_network=True)
                made = ends.enter_context(own)
        except own_engine.NoEngineError as error:
            missing(str(error))
        try:
            yield Restartable(made, image, host)
        finally:
            with inside(host):
                ends.close()
            assert _of_ours() == before
    assert not (NAMESPACES / host).exists()


def _of_ours() -> list[str]:
    """What the machine itself has of the rules; another may have put it there."""
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    marks = ("agentcore0", "AGENTCORE-FULL")
    return [line for line in saved.splitlines() if any(mark in line for mark in marks)]


def _look_for_programs() -> None:
    if os.geteuid() != 0:
        missing("only root can make network namespaces and firewall rules")
    for program in PROGRAMS:
        if shutil.which(program, path=own_engine.PROGRAMS) is None:
            missing(f"no program {program}")


def _connect(host: str, outside: str) -> None:
    """A cable between the two, and the addresses of the outside."""
    ip("-n", host, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", outside)
    for end, address in ((host, HOST), (outside, ROUTER)):
        ip("-n", end, "address", "add", f"{address}/24", "dev", "up0")
        ip("-n", end, "link", "set", "up0", "up")
    ip("-n", host, "route", "add", "default", "via", ROUTER)
    for address in (STRANGER, *METADATA):
        ip("-n", outside, "address", "add", f"{address}/32", "dev", "lo")


def make_network(host: Host) -> None:
    """Make the sandboxes' network, with a subnet of ours, so that its gateway is known."""
    pool = docker.types.IPAMPool(subnet="172.31.0.0/24", gateway=GATEWAY)
    host.client.api.create_network(
        NETWORK,
        driver="bridge",
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        options={
            "com.docker.network.bridge.name": BRIDGE,
            "com.docker.network.bridge.enable_icc": "false",
        },
        labels={"dev.agentcore.network": "full"},
    )
    ensure_network(host.client.api)  # takes it as it is


@contextmanager
def without_rules(host: Host) -> Iterator[Host]:
    """The host without rules of ours, before and after; the kernel tells of each refused packet."""
    limit_icmp(host, milliseconds=0)
    before = host.rules()
    assert not [line for line in before if "AGENTCORE" in line]
    yield host
    host.command("remove")
    assert sorted(host.rules()) == sorted(before)  # Docker has another order after a restart


def limit_icmp(host: Host, *, milliseconds: int) -> None:
    """Set how long the kernel waits between refusals to one address, after six in a row."""
    with inside(host.name):
        Path("/proc/sys/net/ipv4/icmp_ratelimit").write_text(str(milliseconds))
