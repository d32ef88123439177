"""Starts the real stack for tests: PostgreSQL, Valkey, API, workers, beat, as real processes."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from alembic.config import Config

from deploy.local.services import Services, start_services

ROOT = Path(__file__).resolve().parent.parent
READY_TIMEOUT = 60  # seconds for all processes to come up on a busy machine
OUTCOME_TIMEOUT = 60  # seconds for any one execution of these tests


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], timeout: float = 30, what: str = "condition") -> Any:
    """Return the first truthy value of `condition`; fail when none comes in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true in {timeout} s")


class Stack:
    """One deployment: its processes, their environment, and clients of its API."""

    def __init__(self, services: Services, directory: Path, *, image: str, **settings: str) -> None:
        assert services.postgres is not None
        assert services.valkey is not None
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.owner_url = services.postgres.owner_url
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AGENTCORE_")},
            "AGENTCORE_DATABASE_URL": services.postgres.app_url,
            "AGENTCORE_DATABASE_OWNER_URL": services.postgres.owner_url,
            "AGENTCORE_DATABASE_APP_ROLE": "agentcore_app",
            "AGENTCORE_BROKER_URL": services.valkey.url,
            "AGENTCORE_DEPLOYMENT": f"test-{secrets.token_hex(4)}",
            "AGENTCORE_API_PORT": str(self.port),
            "AGENTCORE_SANDBOX_IMAGES": f'{{"python": "{image}", "gone": "agentcore/none:0"}}',
            # Short, so that recovery can be awaited in a test.
            "AGENTCORE_LEASE_SECONDS": "4",
            "AGENTCORE_HEARTBEAT_SECONDS": "0.5",
            "AGENTCORE_SWEEP_SECONDS": "1",
            "AGENTCORE_RESEND_SECONDS": "2",
            "AGENTCORE_WORKER_SLOTS": "4",
            # Tests know containers by their executions' labels; those of the pool turn it on.
            "AGENTCORE_POOL_MAX": "0",
            "AGENTCORE_DRAIN_SECONDS": "5",
            **{f"AGENTCORE_{name.upper()}": value for name, value in settings.items()},
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def migrate(self) -> None:
        """Bring the database to the newest schema."""
        subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=ROOT, env=self.environment, check=True, capture_output=True, timeout=60,
        )  # fmt: skip

    def start(self, *names: str, **settings: str) -> None:
        """Start the named processes: api, or a command of `python -m worker`.

        `settings` go over the stack's own for these processes.
        """
        own = {f"AGENTCORE_{name.upper()}": value for name, value in settings.items()}
        for name in names:
            module = ["api", "serve"] if name == "api" else ["worker", name.split("-")[0]]
            with (self.directory / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", *module],
                    cwd=ROOT, env=self.environment | own, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip

    def stop(self, *names: str) -> None:
        """End the named processes, or all."""
        chosen = [self.processes.pop(name) for name in names or list(self.processes)]
        for process in chosen:
            process.terminate()
        for process in chosen:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait_ready(self) -> None:
        """Wait until the API says that executions can run."""

        def ready() -> bool:
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} ended:\n{self.log(name)[-4000:]}"
            try:
                return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(ready, READY_TIMEOUT, "readiness")

    def log(self, name: str) -> str:
        """Return a process's log."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def new_key(self, tenant: str, *options: str) -> str:
        """Make a key as an operator would; without options it may do everything."""
        granted = options or ("--all-permissions",)
        done = subprocess.run(
            [sys.executable, "-m", "api", "keys", "create", "--tenant", tenant, *granted],
            cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    def client(self, tenant: str, *options: str) -> "Api":
        """Return a client with a new key of `tenant`; see new_key."""
        return Api(self.url, self.new_key(tenant, *options))


@contextmanager
def own_stack(directory: Path, *, image: str, **settings: str) -> Iterator[Stack]:
    """A whole stack, ready, on services of its own: for settings that the shared one lacks."""
    services = start_services(directory / "services", durable=False)
    try:
        stack = Stack(services, directory, image=image, **settings)
        stack.migrate()
        try:
            stack.start("api", "run", "control", "beat")
            stack.wait_ready()
            yield stack
        finally:
            stack.stop()
    finally:
        services.stop()


class Api(httpx.Client):
    """A plain HTTP client of the API with a few shortcuts."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        super().__init__(base_url=url, headers=headers, timeout=90)
        self.key = key

    def submit(self, source: str | None = None, **fields: Any) -> dict[str, Any]:
        """Submit and return the accepted execution."""
        body = fields if source is None else {"source": source, **fields}
        answer = self.post("/v1/executions", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def outcome(self, execution_id: str, timeout: float = OUTCOME_TIMEOUT) -> dict[str, Any]:
        """Wait for the end of an execution and return it."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            answer = self.get(f"/v1/executions/{execution_id}", params={"wait": 20})
            assert answer.status_code == 200, answer.text
            execution = answer.json()
            if execution["status"] not in ("queued", "running"):
                return execution
        raise AssertionError(f"no outcome in {timeout} s: {execution}")

    def run(self, source: str | None = None, **fields: Any) -> dict[str, Any]:
        """Submit and wait for the end."""
        return self.outcome(self.submit(source, **fields)["id"])

    def wait_status(self, execution_id: str, status: str) -> dict[str, Any]:
        """Wait until the execution has this status."""

        def reached() -> dict[str, Any] | None:
            execution = self.get(f"/v1/executions/{execution_id}").json()
            return execution if execution["status"] == status else None

        return wait_until(reached, OUTCOME_TIMEOUT, f"status {status}")

    def wait_started(self, execution_id: str) -> dict[str, Any]:
        """Wait until user code runs."""

        def started() -> dict[str, Any] | None:
            execution = self.get(f"/v1/executions/{execution_id}").json()
            return execution if execution["started_at"] else None

        return wait_until(started, OUTCOME_TIMEOUT, "start of user code")

    def events(self, execution_id: str) -> dict[str, Any]:
        """Return the audit trail."""
        return self.get(f"/v1/executions/{execution_id}/events").json()


def refused_fields(answer: httpx.Response) -> set[str]:
    """Return the fields that a refusal names."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {item["field"] for item in answer.json()["errors"]}


def missing(what: str) -> NoReturn:
    """Skip a test for want of a part of this machine; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def alembic_config(url: str) -> Config:
    """Return Alembic's configuration for the given database."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["url"] = url
    return config
