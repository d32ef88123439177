"""`make demo` without its set-up: the whole stack from nothing, and nothing left running."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT, free_port


@pytest.mark.timeout(180)
def test_the_demo_shows_three_outcomes_and_leaves_nothing(
    sandbox_image: str, tmp_path: Path
) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGENTCORE_")},
        "AGENTCORE_STATE_DIR": str(tmp_path / "state"),
        "AGENTCORE_API_PORT": str(free_port()),
        "AGENTCORE_FLOWER_PORT": str(free_port()),
        "COLUMNS": "120",
    }
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for shown in (
        "succeeded", "exit_nonzero", "timed_out", "Look at /checkout first.",
        "KeyError: 'book_table'", "artifact report.md", "hash chain intact", "mode 2, 1 filter",
    ):  # fmt: skip
        assert shown in done.stdout
    left = subprocess.run(
        [sys.executable, "-m", "deploy.local", "status"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "running" not in left.stdout


def test_a_port_in_use_is_named_in_one_line(tmp_path: Path, sandbox_image: str) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = {
            **{name: value for name, value in os.environ.items() if "AGENTCORE_" not in name},
            "AGENTCORE_STATE_DIR": str(tmp_path / "state"),
            "AGENTCORE_API_PORT": port,
        }
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local", "up"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
    assert done.returncode == 1
    assert port in done.stderr
    assert "AGENTCORE_API_PORT" in done.stderr
    assert "Traceback" not in done.stderr
