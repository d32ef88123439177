"""The usual clients, unchanged, by the usual variables: through a forwarder as in a sandbox."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import missing
from tests.integration.egress.support import Forwarder, OpenGate, ProxyThread, own_loopback
from tests.integration.egress.tls import Authority

REFUSED = "evil.test"


class Site(http.server.BaseHTTPRequestHandler):
    """Says what it was asked, and offers a package to pip."""

    protocol_version = "HTTP/1.1"
    wheel = b""

    def do_GET(self) -> None:
        if self.path == "/simple/tiny/":
            self._send(b'<a href="/tiny-1.0-py3-none-any.whl">tiny-1.0-py3-none-any.whl</a>')
        elif self.path.endswith(".whl"):
            self._send(self.wheel)
        elif self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", f"http://{REFUSED}/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(json.dumps({"path": self.path, "host": self.headers["Host"]}).encode())

    def do_POST(self) -> None:
        self._send(self._body())

    def do_HEAD(self) -> None:
        self._send(b"not sent")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        kind = "text/html" if body.startswith(b"<a") else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(authority: Authority) -> Iterator[str]:
    """The address of servers on ports 80 and 443."""
    address = own_loopback()
    servers = []
    for port in (80, 443):
        try:
            server = http.server.ThreadingHTTPServer((address, port), Site)
        except PermissionError:
            missing(f"only root may listen on port {port} here")
        if port == 443:
            context = authority.server_context()
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    yield address
    for server in servers:
        server.shutdown()
        server.server_close()


class Scene:
    """A gate to a.test with a forwarder before it, and programs that know of the forwarder."""

    def __init__(self, gate: OpenGate, forwarder: Forwarder, authority: Authority) -> None:
        self.gate, self.forwarder = gate, forwarder
        url = forwarder.url
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), url)
        proxies |= {name.upper(): value for name, value in proxies.items()}
        bundle = str(authority.certificate)
        bundles = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), bundle)
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        self.environment = {"HOME": "/nonexistent", **kept, **proxies, **bundles}

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def python(self, source: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-c", source)


@pytest.fixture
def scene(proxy: ProxyThread, site: str, authority: Authority) -> Iterator[Scene]:
    proxy.names["a.test"] = [site]
    gate = proxy.open("a.test")
    forwarder = Forwarder(gate.path)
    yield Scene(gate, forwarder, authority)
    forwarder.close()


# Each program prints, by `get` and `post` of its client: a page over HTTP, one over HTTPS, a body
# sent back, a status of HEAD; and then what an error looks like, of a refused host by both ways
# and of a redirect to it.
URLLIB = """
import urllib.error
import urllib.request as client
def get(url): return client.urlopen(url).read().decode()
def post(url, data): return client.urlopen(url, data=data).read().decode()
def head(url): return client.urlopen(client.Request(url, method="HEAD")).status
def reason(url):
    try:
        get(url)
    except urllib.error.HTTPError as error:
        return error.headers["X-AgentCore-Denied"]
    except urllib.error.URLError as error:
        return str(error.reason)
"""
REQUESTS = """
import requests
session = requests.Session()
def get(url): return session.get(url).text
def post(url, data): return session.post(url, data=iter([data[:3], data[3:]])).text
def head(url): return session.head(url).status_code
def reason(url):
    try:
        answer = session.get(url)
        return answer.headers["X-AgentCore-Denied"]
    except requests.exceptions.ProxyError as error:
        return str(error)
"""
HTTPX = """
import httpx
session = httpx.Client(follow_redirects=True)
def get(url): return session.get(url).text
def post(url, data): return session.post(url, content=iter([data[:3], data[3:]])).text
def head(url): return session.head(url).status_code
def reason(url):
    try:
        return session.get(url).headers["X-AgentCore-Denied"]
    except httpx.ProxyError as error:
        return str(error)
"""
AIOHTTP = """
import asyncio, ssl
import aiohttp
def call(method, url, **options):
    async def work():
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
        async with aiohttp.ClientSession(trust_env=True, connector=connector) as session:
            async with session.request(method, url, **options) as answer:
                return answer.status, answer.headers, await answer.text()
    return asyncio.run(work())
def get(url): return call("GET", url)[2]
def post(url, data): return call("POST", url, data=data)[2]
def head(url): return call("HEAD", url)[0]
def reason(url):
    try:
        return call("GET", url)[1]["X-AgentCore-Denied"]
    except aiohttp.ClientHttpProxyError as error:
        return error.message
"""
PROGRAM = """
import json
print(json.dumps([
    json.loads(get("http://a.test/one?two=3")), json.loads(get("https://a.test/four")),
    post("http://a.test/", b"sent back"), post("https://a.test/", b"sent back"),
    head("http://a.test/"),
    reason("http://evil.test/"), reason("https://evil.test/"), reason("http://a.test/redirect"),
]))
"""


@pytest.mark.parametrize(
    ("module", "client"),
    [
        ("urllib", URLLIB),
        ("requests", REQUESTS),
        ("httpx", HTTPX),
        ("aiohttp", AIOHTTP),
    ],
)
def test_a_python_client_works_unchanged(scene: Scene, module: str, client: str) -> None:
    if scene.python(f"import {module}").returncode:
        missing(f"no {module} (it is in the extra `dev`)")
    done = scene.python(client + PROGRAM)
    assert done.returncode == 0, done.stderr
    page, secure, posted, secure_posted, status, plain, tunnel, redirect = json.loads(done.stdout)
    assert page == {"path": "/one?two=3", "host": "a.test"}
    assert secure == {"path": "/four", "host": "a.test"}
    assert (posted, secure_posted, status) == ("sent back", "sent back", 200)
    assert plain == redirect == "host_not_allowed"
    assert "403" in tunnel or "Denied" in tunnel
    assert "host_not_allowed" in tunnel
    report = scene.gate.close()
    assert report.outcomes["host_not_allowed"] == 3
    assert report.denied == 3


def test_pip_installs_from_an_allowed_index_and_from_no_other(scene: Scene, tmp_path: Path) -> None:
    Site.wheel = _wheel(tmp_path)
    scene.environment["PIP_CERT"] = scene.environment["SSL_CERT_FILE"]
    scene.environment["PIP_CONFIG_FILE"] = os.devnull
    pip = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "-d", str(tmp_path / "got")]
    pip += ["--retries", "1", "--disable-pip-version-check"]
    done = scene.run(*pip, "--index-url", "https://a.test/simple/", "tiny==1.0")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["tiny-1.0-py3-none-any.whl"]
    done = scene.run(*pip, "--index-url", "https://evil.test/simple/", "other==1.0")
    assert done.returncode != 0
    assert "host_not_allowed" in done.stdout + done.stderr


def _wheel(directory: Path) -> bytes:
    """Return the smallest package that pip takes."""
    info = directory / "wheel" / "tiny-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "RECORD").write_text("")
    archive = shutil.make_archive(str(directory / "tiny"), "zip", info.parent)
    return Path(archive).read_bytes()


@pytest.mark.parametrize("options", [[], ["--proxy", "SOCKS"], ["--proxytunnel"]])
def test_curl_works_by_each_way(scene: Scene, options: list[str], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("no curl (Debian: apt-get install curl)")
    (tmp_path / "large").write_bytes(b"x" * 2_000_000)
    socks = f"socks5h://127.0.0.1:{scene.forwarder.port}"
    curl = ["curl", "-sS", "--max-time", "30", *(socks if o == "SOCKS" else o for o in options)]
    for scheme in ("http", "https"):
        done = scene.run(*curl, f"{scheme}://a.test/x")
        assert json.loads(done.stdout) == {"path": "/x", "host": "a.test"}, done.stderr
        sent = scene.run(*curl, "--data-binary", f"@{tmp_path}/large", f"{scheme}://a.test/")
        assert sent.stdout == "x" * 2_000_000
        refused = scene.run(*curl, f"{scheme}://evil.test/")
        assert "host_not_allowed" in refused.stdout or refused.returncode != 0
    # One host, and the server name of another.
    fronted = scene.run(*curl, "--connect-to", "b.test:443:a.test:443", "https://b.test/")
    assert fronted.returncode != 0
    report = scene.gate.close()
    assert report.outcomes["host_not_allowed"] == 2
    assert report.outcomes["server_name_mismatch"] == 1
