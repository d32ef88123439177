"""A scripted server behind httpx's MockTransport, a clock without waiting, a clean environment."""

import functools
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from agentcore_client import Client, RetryPolicy
from agentcore_client.cli import app
from typer.testing import CliRunner, Result

KEY = "ac_public_s3cr3tpart"
ID = "0b8f7c1e-5a3e-4a53-9d7e-0c2a6a1f4d11"
LIMITS = {
    "memory_mb": 256,
    "cpu_cores": 0.5,
    "execution_time_seconds": 30,
    "processes": 10,
    "file_descriptors": 50,
    "storage_mb": 1024,
    "network_requests": 100,
}


def execution_json(**changes: Any) -> dict[str, Any]:
    """Return an ended execution as the server tells it."""
    return {
        "id": ID,
        "status": "succeeded",
        "reason": None,
        "attempt": 1,
        "created_at": "2026-01-02T03:04:05Z",
        "started_at": "2026-01-02T03:04:06Z",
        "finished_at": "2026-01-02T03:04:08.5Z",
        "labels": {},
        "priority": 4,
        "security_profile": "standard",
        "image": "python",
        "network_access": "none",
        "limits": LIMITS,
        "max_attempts": 1,
        "exit_code": 0,
        "stdout": stream_json(""),
        "stderr": stream_json(""),
    } | changes


def stream_json(text: str, **changes: Any) -> dict[str, Any]:
    """Return an output stream as the server tells it."""
    total = len(text.encode())
    return {"text": text, "base64": None, "total_bytes": total, "truncated": False} | changes


def result_json(index: int, text: str = "", **changes: Any) -> dict[str, Any]:
    """Return the result of one input as the server tells it."""
    return {
        "index": index,
        "attempt": 1,
        "status": "succeeded",
        "reason": None,
        "exit_code": 0,
        "signal": None,
        "stdout": stream_json(text),
        "stderr": stream_json(""),
        "result": None,
        "result_truncated": False,
        "wall_seconds": 0.01,
    } | changes


def stream_of(*results: dict[str, Any], complete: bool | None = True) -> httpx.Response:
    """Return a stream of results; with `complete` None it breaks off without its last line."""
    lines = [json.dumps(item, ensure_ascii=False) for item in results]
    if complete is not None:
        last = results[-1]["index"] if results else -1
        lines.append(json.dumps({"next": last, "complete": complete, "detail": None}))
    return httpx.Response(200, content="".join(f"{line}\n" for line in lines).encode())


class ScriptedApi:
    """Answers each route from its list of answers; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[Any]] = {}

    def answer(self, method: str, path: str, *answers: Any) -> None:
        """Answer with JSON (status 200), a Response, or an exception to raise."""
        self._answers[method, path] = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.raw_path.decode().partition("?")[0]
        answers = self._answers[request.method, path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def bodies(self) -> list[Any]:
        """Return the JSON of every request that had a body."""
        return [json.loads(request.content) for request in self.requests if request.content]


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AGENTCORE_URL", "AGENTCORE_API_KEY", "AGENTCORE_CLIENT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("agentcore_client.executions.time", clock)
    monkeypatch.setattr("agentcore_client.transport.time", clock)
    monkeypatch.setattr("agentcore_client.results.time", clock)
    return clock


@pytest.fixture
def api() -> ScriptedApi:
    return ScriptedApi()


@pytest.fixture
def client(api: ScriptedApi, clock: Clock) -> Client:
    return Client(
        "http://api.test", KEY, retries=RetryPolicy(attempts=3), transport=httpx.MockTransport(api)
    )


@pytest.fixture
def agentcore(
    api: ScriptedApi, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run the command line against the scripted server."""
    monkeypatch.setattr(
        "agentcore_client.cli.options.Client",
        functools.partial(Client, transport=httpx.MockTransport(api)),
    )
    monkeypatch.setenv("AGENTCORE_API_KEY", KEY)
    return lambda *args, **options: CliRunner().invoke(app, list(args), **options)


@pytest.fixture
def ended() -> Callable[..., dict[str, Any]]:
    return execution_json


@pytest.fixture
def stream() -> Callable[..., dict[str, Any]]:
    return stream_json


@pytest.fixture
def result() -> Callable[..., dict[str, Any]]:
    return result_json


@pytest.fixture
def results() -> Callable[..., httpx.Response]:
    return stream_of


@pytest.fixture
def path() -> Callable[..., str]:
    return lambda *rest: "/".join(("/v1/executions", ID, *rest))
