"""The `agentcore` command against the real stack, as a person uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Api, Stack

PROGRAM = Path(sys.executable).with_name("agentcore")


class CommandLine:
    def __init__(self, stack: Stack, key: str, home: Path) -> None:
        self.environment = {
            **stack.environment,
            "AGENTCORE_URL": stack.url,
            "AGENTCORE_API_KEY": key,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
        }

    def __call__(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *words],
            env=self.environment, input=stdin, capture_output=True, text=True, timeout=90,
        )  # fmt: skip


@pytest.fixture(scope="module")
def agentcore(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    stack.wait_ready()
    return CommandLine(stack, stack.new_key("people"), tmp_path_factory.mktemp("home"))


def test_run_prints_what_the_program_printed_and_saves_artifacts(
    agentcore: CommandLine, examples: Path, tmp_path: Path
) -> None:
    done = agentcore(
        "run", "--file", f"{examples / 'data/requests.csv'}:requests.csv",
        "--output-dir", str(tmp_path / "out"), str(examples / "analyse_requests.py"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Look at /checkout first." in done.stdout
    assert "| /checkout |" in (tmp_path / "out/report.md").read_text()
    again = agentcore("run", "--output-dir", str(tmp_path / "out"), "-", stdin="print('ran')")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert "ran" not in again.stdout


@pytest.mark.parametrize(
    ("source", "options", "code"),
    [
        ("raise SystemExit(7)", (), 7),
        ("import os; os.kill(os.getpid(), 11)", (), 139),
        ("while True: pass", ("--timeout", "1"), 124),
    ],
)
def test_run_exits_as_the_program_did(
    agentcore: CommandLine, source: str, options: tuple[str, ...], code: int
) -> None:
    done = agentcore("run", *options, "-", stdin=source)
    assert done.returncode == code, done.stderr


def test_an_execution_is_followed_by_its_id(agentcore: CommandLine) -> None:
    submitted = agentcore("submit", "--label", "team=a", "-", stdin="print('out'); 1/0")
    execution_id = submitted.stdout.strip()
    assert submitted.returncode == 0, submitted.stderr
    told = agentcore.environment
    with Api(told["AGENTCORE_URL"], told["AGENTCORE_API_KEY"]) as api:
        api.outcome(execution_id)
    status = json.loads(agentcore("status", execution_id, "--json").stdout)
    assert (status["status"], status["labels"]) == ("failed", {"team": "a"})
    assert agentcore("logs", execution_id).stdout.startswith("out\n")
    assert execution_id in agentcore("list", "--status", "failed").stdout.replace("\n", "")
    audit = agentcore("audit", execution_id)
    assert audit.returncode == 0
    assert "status_changed" in audit.stdout
    cancel = agentcore("cancel", execution_id)
    assert cancel.returncode != 0
    assert "already ended" in cancel.stderr


def test_profiles_and_agents(agentcore: CommandLine, tmp_path: Path) -> None:
    assert "standard" in agentcore("profiles").stdout
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"source": "print('agent speaks')"}))
    assert agentcore("agents", "put", "speaker", str(config)).returncode == 0
    assert agentcore("run", "--agent", "speaker").stdout == "agent speaks\n"


def test_errors_are_one_line_that_says_what_to_do(agentcore: CommandLine, api: Api) -> None:
    refused = agentcore("run", "--memory", "999999", "-", stdin="pass")
    assert refused.returncode == 125
    assert "max_memory_mb" in refused.stderr
    assert "Traceback" not in refused.stderr
    stranger = agentcore("status", api.submit("pass")["id"])
    assert stranger.returncode == 125
    agentcore.environment["AGENTCORE_URL"] = "http://127.0.0.1:1"
    try:
        away = agentcore("list")
    finally:
        agentcore.environment["AGENTCORE_URL"] = api.base_url.__str__()
    assert away.returncode == 125
    assert "Traceback" not in away.stderr
