"""A wrong setting ends each process with one line, which names it and holds no secret."""

import json
import os
import subprocess
import sys

import pytest

from tests.harness import ROOT

SECRET = "hunter2hunter2"
RIGHT = {
    "AGENTCORE_DATABASE_URL": f"postgresql://u:{SECRET}@h/d",
    "AGENTCORE_BROKER_URL": f"redis://:{SECRET}@h/0",
    "AGENTCORE_FLOWER_PASSWORD": SECRET,
}
COMMANDS = ("api serve", "api keys list", "worker run", "worker control", "alembic upgrade head")


def _run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_value_is_one_line_without_secrets(command):
    # Of two settings together: that error would show all of them.
    done = _run(command, **RIGHT, AGENTCORE_LEASE_SECONDS="2")
    assert done.returncode != 0
    assert done.stderr.startswith("error: AGENTCORE_LEASE_SECONDS must be")
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("api serve", "AGENTCORE_DATABASE_URL", f"mysql://u:{SECRET}@h/d"),
        ("worker run", "AGENTCORE_DATABASE_URL", f"mysql://u:{SECRET}@h/d"),
        ("api serve", "AGENTCORE_BROKER_URL", f"http://u:{SECRET}@h/d"),
        ("worker control", "AGENTCORE_BROKER_URL", f"http://u:{SECRET}@h/d"),
        ("worker beat", "AGENTCORE_BROKER_URL", f"valkey://:{SECRET}@h/0"),
        ("worker flower", "AGENTCORE_BROKER_URL", f"redis://:{SECRET}/x@h/0"),
        ("worker control", "AGENTCORE_RESULT_BACKEND_URL", f"rpc://u:{SECRET}@h"),
        ("api keys list", "AGENTCORE_DATABASE_URL", f"postgresql://u:{SECRET}@h:x/d"),
        ("alembic upgrade head", "AGENTCORE_DATABASE_OWNER_URL", f"mysql://u:{SECRET}@h/d"),
        ("alembic upgrade head", "AGENTCORE_DATABASE_OWNER_URL", ""),
        ("api serve", "OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere"),
        ("worker run", "OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere"),
    ],
)
def test_a_url_of_another_kind_is_told_at_the_start(command, name, value):
    done = _run(command, **RIGHT | {name: value})
    assert done.returncode == (1 if command.startswith("alembic") else 2)
    assert done.stderr.startswith(f"error: {name}: must be")
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr


def test_an_unknown_propagator_is_told_at_the_start():
    done = _run("api serve", **RIGHT, OTEL_PROPAGATORS="nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("error: OTEL_PROPAGATORS: Propagator nonsense not found")
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_setting_is_warned_of():
    done = _run("api serve", **RIGHT, AGENTCORE_WORKER_SLOT="4", OTEL_PROPAGATORS="nonsense")
    line = json.loads(done.stderr.splitlines()[0])
    assert line["event"] == "unknown_setting"
    assert line["variable"] == "AGENTCORE_WORKER_SLOT"
    assert line["did_you_mean"] == "AGENTCORE_WORKER_SLOTS"


def test_settings_can_be_checked_without_starting_anything():
    done = _run("worker settings", **RIGHT)
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in done.stdout
    done = _run("worker settings", **RIGHT, AGENTCORE_WORKER_SLOTS="many")
    assert done.returncode == 2
    assert done.stderr.startswith("error: AGENTCORE_WORKER_SLOTS: ")


def test_help_needs_no_settings():
    done = _run("api --help")
    assert done.returncode == 0
    assert "serve" in done.stdout
