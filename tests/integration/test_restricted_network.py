"""What a program reaches on a restricted network, through the whole stack, in warm sandboxes.

Those are started before anybody knows which hosts their jobs may reach.
"""

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from tests.harness import Api, Stack, free_port, own_stack, refused_fields, wait_until


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"hello from outside"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    """A web server of this host: to a sandbox it is a host like any other."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def networked(
    outside: str, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack whose operator lets sandboxes reach that one address of the host, and any name.

    Its pool keeps only what is asked for: sandboxes that may reach hosts.
    """
    directory = tmp_path_factory.mktemp("net")
    with own_stack(
        directory,
        image=sandbox_image,
        egress_ceiling=json.dumps([outside, "*"]),
        worker_metrics_port=str(free_port()),
        pool_size="0",
        pool_max="2",
        pool_idle_seconds="600",
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def tenant(networked: Stack) -> Iterator[Api]:
    """A tenant's client, once its requests have made the pool start sandboxes for such."""
    with networked.client("networked") as client:
        for _ in range(3):
            client.run("pass", allowed_hosts=["first.example"])
        yield client


@pytest.fixture
def api(networked: Stack, tenant: Api) -> Api:
    """The same, while as many sandboxes wait as should."""
    _await_pool(networked)
    return tenant


def _await_pool(stack: Stack) -> None:
    names = "agentcore_pool_waiting", "agentcore_pool_target"
    wait_until(lambda: [_told(stack, name) for name in names] == [2, 2], 30, "a full pool")


def _told(stack: Stack, name: str) -> float:
    """Return what Prometheus is told by the worker."""
    port = stack.environment["AGENTCORE_WORKER_METRICS_PORT"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    found = [line for line in text.splitlines() if line.startswith(name)]
    return float(found[0].split()[-1]) if found else 0


def _assert_warm(execution: dict[str, Any]) -> None:
    assert execution["isolation"]["engine"]["warm"] is True


GET = """
import sys, urllib.request, urllib.error
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url, timeout=10).read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.headers["X-AgentCore-Denied"])
"""
# The server of these tests is on this host's loopback, which clients take for the sandbox's own.
PROXY_ALL = {"NO_PROXY": "", "no_proxy": ""}


def _run(api: Api, *urls: str, allowed: str, **fields: object) -> dict[str, Any]:
    return api.run(GET, args=list(urls), environment=PROXY_ALL, allowed_hosts=[allowed], **fields)


def _decisions(api: Api, execution_id: str) -> list[dict[str, Any]]:
    events = api.events(execution_id)["items"]
    found = [item["data"] for item in events if item["kind"] == "network_decisions"]
    return [decision for data in found for decision in data["decisions"]]


def test_an_allowed_host_is_reached_and_told_of(api: Api, outside: str) -> None:
    execution = _run(api, f"http://{outside}/", allowed=outside)
    _assert_warm(execution)
    assert execution["status"] == "succeeded", execution["stderr"]["text"]
    assert execution["stdout"]["text"] == "hello from outside\n"
    network = execution["network"]
    assert (network["requests"], network["denied"]) == (1, 0)
    assert network["bytes_down"] > len("hello from outside")
    (decision,) = _decisions(api, execution["id"])
    assert (decision["host"], decision["allowed"]) == ("127.0.0.1", True)
    assert f"{decision['host']}:{decision['port']}" == outside


def test_a_host_that_is_not_listed_is_refused_in_words(api: Api, outside: str) -> None:
    execution = _run(api, "http://example.com/", "http://10.0.0.1/", allowed=outside)
    _assert_warm(execution)
    assert execution["stdout"]["text"] == "403 host_not_allowed\n403 address_not_allowed\n"
    assert execution["status"] == "succeeded"
    (warning,) = execution["warnings"]
    assert warning.startswith("network_denied: 2 refused; example.com:80 host_not_allowed")
    assert execution["network"]["denied"] == 2
    assert [item["reason"] for item in _decisions(api, execution["id"])] == [
        "host_not_allowed",
        "address_not_allowed",
    ]


def test_each_job_has_its_own_hosts_and_count_whichever_sandbox_it_finds(
    api: Api, outside: str
) -> None:
    url = f"http://{outside}/"
    allowed = [outside, "other.example", outside]
    accepted = [
        api.submit(GET, args=[url], environment=PROXY_ALL, allowed_hosts=[each])["id"]
        for each in allowed[:2]
    ]
    executions = [api.outcome(item) for item in accepted]
    executions.append(_run(api, url, allowed=allowed[2]))
    for execution in executions[:2]:
        _assert_warm(execution)
    texts = [execution["stdout"]["text"] for execution in executions]
    assert texts == ["hello from outside\n", "403 address_not_allowed\n", "hello from outside\n"]
    assert [execution["network"]["requests"] for execution in executions] == [1, 0, 1]
    assert [execution["network"]["denied"] for execution in executions] == [0, 1, 0]
    for execution, wanted in zip(executions, (True, False, True), strict=True):
        (decision,) = _decisions(api, execution["id"])
        assert decision["allowed"] is wanted


def test_the_quota_has_an_exact_edge(api: Api, outside: str) -> None:
    limits = {"max_network_requests": 2}
    urls = [f"http://{outside}/"] * 3
    execution = _run(api, *urls, allowed=outside, execution_limits=limits)
    _assert_warm(execution)
    lines = execution["stdout"]["text"].splitlines()
    assert lines == ["hello from outside", "hello from outside", "403 quota_exceeded"]
    assert execution["network"]["requests"] == 2


def test_without_hosts_there_is_no_way_out_and_no_proxy(api: Api) -> None:
    source = """
import os, socket
print([name for name in os.environ if "proxy" in name.lower()], os.path.exists("/run/agentcore"))
try:
    socket.create_connection(("127.0.0.1", 3128), timeout=2)
except OSError as error:
    print(error.strerror)
"""
    execution = api.run(source)
    assert execution["network_access"] == "restricted"
    assert execution["stdout"]["text"] == "[] False\nConnection refused\n"
    assert execution["network"] is None


HOSTILE = """
import os, socket, struct
def tried(name, attempt):
    try:
        attempt()
        print(name, "GOT THROUGH")
    except OSError as error:
        print(name, "refused")
def reach(family, kind, address):
    with socket.socket(family, kind) as sock:
        sock.settimeout(2)
        sock.connect(address)
        sock.send(b"x")
        sock.recv(1)
dns = b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7example\\3com\\0\\0\\1\\0\\1"
inet, inet6 = socket.AF_INET, socket.AF_INET6
tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
tried("address", lambda: reach(inet, tcp, ("192.0.2.1", 80)))
tried("address 6", lambda: reach(inet6, tcp, ("2001:db8::1", 80)))
tried("metadata", lambda: reach(inet, tcp, ("169.254.169.254", 80)))
tried("metadata 6", lambda: reach(inet6, tcp, ("fd00:ec2::254", 80)))
tried("gateway", lambda: reach(inet, tcp, ("172.17.0.1", 22)))
tried("dns udp", lambda: reach(inet, udp, ("8.8.8.8", 53)))
tried("dns tcp", lambda: reach(inet, tcp, ("8.8.8.8", 53)))
tried("resolver", lambda: socket.getaddrinfo("example.com", 80))
tried("unlink", lambda: os.unlink("/run/agentcore/egress.sock"))
tried("replace", lambda: os.rename("/run/agentcore/egress.sock", "/run/agentcore/other"))
tried("link", lambda: os.symlink("/tmp", "/run/agentcore/other"))
tried("place", lambda: open("/run/agentcore/x", "w"))
tried("chmod", lambda: os.chmod("/run/agentcore/egress.sock", 0o600))
tried("out of it", lambda: os.listdir("/run/agentcore-egress"))
tried("raw", lambda: socket.socket(inet, socket.SOCK_RAW, 1))
tried("packet", lambda: socket.socket(17, socket.SOCK_RAW))
tried("vsock", lambda: socket.socket(40, tcp))
print(os.listdir("/run/agentcore"), sorted(os.listdir("/sys/class/net")))
"""


def test_there_is_no_way_beside_the_proxy(api: Api, outside: str) -> None:
    execution = api.run(HOSTILE, allowed_hosts=[outside])
    _assert_warm(execution)
    *attempts, last = execution["stdout"]["text"].splitlines()
    assert len(attempts) == 17, execution
    assert not [line for line in attempts if not line.endswith(" refused")]
    assert last == "['egress.sock'] ['lo']"


def test_what_is_mounted_is_told_and_gone_afterwards(
    api: Api, networked: Stack, engine: docker.DockerClient, outside: str
) -> None:
    accepted = api.submit("import time; time.sleep(60)", allowed_hosts=[outside])
    api.wait_started(accepted["id"])
    trail = api.events(accepted["id"])["items"]
    (isolation,) = (item["data"]["isolation"] for item in trail
                    if item["kind"] == "user_code_started")  # fmt: skip
    assert isolation["engine"]["warm"] is True
    (mount,) = engine.api.inspect_container(isolation["engine"]["container"])["Mounts"]
    folder = Path(mount["Source"])
    assert (mount["Destination"], mount["RW"]) == ("/run/agentcore", False)
    assert (folder / "egress.sock").is_socket()
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    api.post(f"/v1/executions/{accepted['id']}/cancel")
    execution = api.outcome(accepted["id"])
    assert not folder.exists()
    (other,) = execution["isolation"]["inside"]["other_mounts"]
    assert other.startswith("/run/agentcore ")
    assert other.endswith(" ro")


def test_prometheus_counts_what_sandboxes_reach(api: Api, networked: Stack, outside: str) -> None:
    refused = 'agentcore_egress_decisions_total{reason="host_not_allowed"}'
    down = 'agentcore_egress_bytes_total{direction="down"}'
    before = _told(networked, refused), _told(networked, down)
    _run(api, "http://example.com/", f"http://{outside}/", allowed=outside)
    assert _told(networked, refused) == before[0] + 1
    assert _told(networked, down) > before[1]


WAIT_AND_GET = (
    """
import sys, time, os
print("up")
while not os.path.exists("/tmp/go"):
    if time.time() > float(sys.argv[1]): open("/tmp/go", "w")
    time.sleep(0.05)
del sys.argv[1]
"""
    + GET
)


def test_a_proxy_that_dies_is_there_again_under_the_same_socket(
    api: Api, networked: Stack, outside: str
) -> None:
    args = [str(time.time() + 6), f"http://{outside}/"]
    accepted = api.submit(WAIT_AND_GET, args=args, environment=PROXY_ALL, allowed_hosts=[outside])
    api.wait_started(accepted["id"])
    (proxy,) = _egress_processes(networked)
    os.kill(proxy, signal.SIGKILL)
    wait_until(lambda: _egress_processes(networked) not in ([], [proxy]), 10, "another proxy")
    execution = api.outcome(accepted["id"])
    assert execution["stdout"]["text"] == "up\nhello from outside\n", execution
    told = [
        item["data"]
        for item in api.events(accepted["id"])["items"]
        if item["kind"] == "network_decisions"
    ]
    assert told[-1]["proxy_restarts"] == 1
    # Those that waited meanwhile reach it, too.
    _await_pool(networked)
    execution = _run(api, f"http://{outside}/", allowed=outside)
    _assert_warm(execution)
    assert execution["stdout"]["text"] == "hello from outside\n"


def _egress_processes(stack: Stack) -> list[int]:
    """Return the ids of the worker's children that are egress proxies."""
    worker = stack.processes["run"].pid
    children = Path(f"/proc/{worker}/task").glob("*/children")
    found = {int(word) for file in children for word in file.read_text().split()}
    return [pid for pid in found if b"worker.sandbox.egress" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"allowed_hosts": ["example.com"], "security_profile": "minimal"}, "allowed_hosts"),
        (
            {
                "allowed_hosts": ["example.com"],
                "resource_limits": {"network_access": "none"},
            },
            "allowed_hosts",
        ),
        ({"allowed_hosts": ["127.0.0.1:1"]}, "allowed_hosts"),
        ({"allowed_hosts": ["169.254.169.254"]}, "allowed_hosts"),
        ({"allowed_hosts": ["exa mple.com"]}, "allowed_hosts.0"),
    ],
)
def test_hosts_that_cannot_be_had_are_refused_at_submit(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    answer = api.post("/v1/executions", json={"source": "1", **fields})
    assert answer.status_code == 422
    assert refused_fields(answer) == {field}
