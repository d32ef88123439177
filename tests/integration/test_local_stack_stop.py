"""`make down` from another shell than the one that `make up` ran in."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from deploy.local import environment
from deploy.local.stack import LocalStack
from tests.harness import ROOT, Api, free_port


@pytest.mark.timeout(240)
def test_down_waits_for_as_long_as_the_running_worker_may_drain(
    sandbox_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain, state = tmp_path / "drain", tmp_path / "state"
    drain.write_text("60\n")
    shell = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGENTCORE_")},
        "AGENTCORE_API_PORT": str(free_port()),
        "AGENTCORE_FLOWER_PORT": str(free_port()),
    }
    started = LocalStack(
        state, environ={**shell, "AGENTCORE_DRAIN_SECONDS_FILE": str(drain)}, durable=False
    )
    other = LocalStack(state, environ={**shell, "AGENTCORE_DRAIN_SECONDS": "0"})
    said: list[str] = []
    try:
        started.up(lambda _: None)
        with Api(started.api_url, _new_key(started)) as api:
            execution_id = api.submit("import time; time.sleep(3)")["id"]
            api.wait_started(execution_id)
        drain.write_text("0\n")  # what runs has read it already
        # What the other shell's value would allow is less than the program needs.
        monkeypatch.setattr(environment, "STOP_SLACK_SECONDS", 0.5)
    finally:
        other.down(said.append)
    assert "stopping the processes (up to 80 s while executions end)" in said
    assert _status(started, execution_id) == ("succeeded",)


def _new_key(stack: LocalStack) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "api", "keys", "create"],
        cwd=ROOT, env=stack.environment(), check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout.strip()


def _status(stack: LocalStack, execution_id: str) -> tuple[str, ...] | None:
    """Return what is recorded, from the database alone."""
    assert stack.services.postgres is not None
    stack.services.postgres.start()
    try:
        with psycopg.connect(stack.services.postgres.owner_url) as connection:
            query = "SELECT status FROM executions WHERE id = %s"
            return connection.execute(query, (execution_id,)).fetchone()
    finally:
        stack.services.postgres.stop()
