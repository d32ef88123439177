"""How long those who stop a worker wait for it: `down`, and Compose."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.environment import (
    DRAIN_SECONDS,
    LONGEST_DRAIN_SECONDS,
    STOP_SLACK_SECONDS,
    stop_seconds,
)
from models.settings import Settings
from tests.harness import ROOT
from worker.shutdown import HAND_BACK_SECONDS

VARIABLE = "AGENTCORE_DRAIN_SECONDS"


@pytest.mark.parametrize(("given", "drain"), [({}, 30), ({VARIABLE: "2.5"}, 2.5)])
def test_down_waits_longer_than_a_worker_takes_to_stop(
    given: dict[str, str], drain: float, tmp_path: Path
) -> None:
    assert stop_seconds(given, folder=tmp_path) == drain + STOP_SLACK_SECONDS
    assert STOP_SLACK_SECONDS > HAND_BACK_SECONDS


def test_the_value_may_be_in_a_file_as_the_processes_read_it(tmp_path: Path) -> None:
    (tmp_path / "drain").write_text("90\n")
    for name in ("drain", str(tmp_path / "drain")):
        given = {f"{VARIABLE}_FILE": name}
        assert stop_seconds(given, folder=tmp_path) == 90 + STOP_SLACK_SECONDS
        # Both: the variable itself wins, as in the settings.
        assert stop_seconds(given | {VARIABLE: "4"}, folder=tmp_path) == 4 + STOP_SLACK_SECONDS


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-1", "3601"])
def test_a_value_that_no_worker_accepts_is_as_none(value: str, tmp_path: Path) -> None:
    assert stop_seconds({VARIABLE: value}, folder=tmp_path) == stop_seconds({}, folder=tmp_path)


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_no_worker_can_read_is_as_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "drain").write_bytes(content)
    given = {f"{VARIABLE}_FILE": "drain"}
    assert stop_seconds(given, folder=tmp_path) == stop_seconds({}, folder=tmp_path)


def test_default_and_limit_are_the_settings() -> None:
    field = Settings.model_fields["drain_seconds"]
    assert field.default == DRAIN_SECONDS
    assert [item.le for item in field.metadata if hasattr(item, "le")] == [LONGEST_DRAIN_SECONDS]


@pytest.mark.parametrize(("given", "drain"), [(None, 30), ("2.5", 2.5), ("3600", 3600)])
def test_compose_waits_longer_than_its_worker_takes_to_stop(
    given: str | None, drain: float
) -> None:
    shell = {name: value for name, value in os.environ.items() if name != VARIABLE}
    program = Path(sys.executable).with_name("docker-compose")
    done = subprocess.run(
        [program, "-f", ROOT / "docker-compose.yml", "config", "--format", "json"],
        env=shell | ({VARIABLE: given} if given else {}),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    worker = json.loads(done.stdout)["services"]["worker"]
    assert float(worker["environment"][VARIABLE]) == drain
    assert _seconds(worker["stop_grace_period"]) > drain + HAND_BACK_SECONDS


def _seconds(duration: str) -> float:
    """Return what Compose writes as `1h2m3.5s` in seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)([hms])", duration))
