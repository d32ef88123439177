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
        ("api serve", "AGENTCORE_DATABASE_URL", f"postgresql://u:{SECRET}@h/d?sslmod=x"),
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


def test_an_unknown_setting_is_warned_of():
    done = _run("api serve", **RIGHT, AGENTCORE_WORKER_SLOT="4", AGENTCORE_API_HOST="999.1.1.1")
    line = json.loads(done.stderr.splitlines()[0])
    assert line["event"] == "unknown_setting"
    assert line["variable"] == "AGENTCORE_WORKER_SLOT"
    assert line["did_you_mean"] == "AGENTCORE_WORKER_SLOTS"


@pytest.mark.parametrize(
    ("command", "host", "port"),
    [("api serve", "API_HOST", "API_PORT"), ("worker flower", "FLOWER_HOST", "FLOWER_PORT"),
     ("worker control", "WORKER_METRICS_HOST", "CONTROL_METRICS_PORT")],
)  # fmt: skip
def test_an_address_that_nobody_can_listen_on_is_told_by_its_settings(command, host, port):
    of_flower = {"AGENTCORE_FLOWER_USER": "u"} if "flower" in command else {}
    told = {f"AGENTCORE_{host}": "999.1.1.1", f"AGENTCORE_{port}": "9090"}
    done = _run(command, **RIGHT, **of_flower, **told)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: AGENTCORE_{host}, AGENTCORE_{port}: cannot listen on 999.1.1.1")


@pytest.mark.parametrize(
    "told",
    [
        {"DOCKER_HOST": "tcp://h:99999"},
        {"DOCKER_HOST": "nonsense"},
        {
            "DOCKER_HOST": "tcp://h:2376",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": "/nonexistent",
        },
    ],
)
def test_an_engine_that_cannot_be_is_told_by_dockers_variables(told):
    done = _run("worker run", **RIGHT, **told)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: DOCKER_HOST, ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "EGRESS_CEILING",
            "nojson",
            "AGENTCORE_EGRESS_CEILING: Input should be a valid tuple, writ",
        ),
        ("CORS_ORIGINS", "nojson", "AGENTCORE_CORS_ORIGINS: its value is not valid JSON"),
        ("SANDBOX_IMAGES", '{"python": ""}', "AGENTCORE_SANDBOX_IMAGES.PYTHON: String should have"),
        ("FLOWER_USER", "a:b", "AGENTCORE_FLOWER_USER: String should match"),
    ],
)
def test_what_is_wrong_is_said_of_each_kind(name, value, message):
    done = _run(
        "worker settings", **RIGHT, AGENTCORE_DEPLOYMENT="x", **{f"AGENTCORE_{name}": value}
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")


def test_options_of_a_broker_that_kombu_lacks_are_told_without_their_values():
    url = f"redis://h/0?password={SECRET}"
    done = _run("worker settings", **RIGHT | {"AGENTCORE_BROKER_URL": url})
    assert done.returncode == 2
    assert done.stderr == "error: AGENTCORE_BROKER_URL: its options are refused (TypeError)\n"


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
