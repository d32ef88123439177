"""What `make compose-up` refuses before it touches anything, without engine and Compose."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.compose import checks, program, unwell
from deploy.errors import ComposeError


def with_settings(path: Path) -> dict[str, Any]:
    environment = {"AGENTCORE_API_HOST": "0.0.0.0", "AGENTCORE_DATABASE_URL_FILE": "/run/secrets/x"}
    files = [{"path": str(checks.DEFAULTS)}, {"path": str(path)}]
    return {"services": {"api": {"environment": environment, "env_file": files}, "redis": {}}}


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("AGENTCORE_DEPLOYMENT=mine", "set AGENTCORE_DEPLOYMENT in .env"),
        ("AGENTCORE_DRAIN_SECONDS_FILE=/x", "set AGENTCORE_DRAIN_SECONDS in .env"),
        ("export AGENTCORE_API_PORT=1", "set AGENTCORE_API_PORT in .env"),
        ("AGENTCORE_API_HOST=::", "AGENTCORE_API_HOST is docker-compose.yml's own"),
        ("AGENTCORE_DATABASE_URL=x", "AGENTCORE_DATABASE_URL is docker-compose.yml's own"),
    ],
)
def test_a_setting_that_would_be_overruled_is_refused(
    tmp_path: Path, line: str, advice: str
) -> None:
    path = tmp_path / "mine.env"
    path.write_text(f"AGENTCORE_WORKER_SLOTS=3\n{line}\n")
    with pytest.raises(ComposeError, match=advice):
        checks.settings_file(with_settings(path))


def test_other_settings_are_for_the_processes_to_judge(tmp_path: Path) -> None:
    path = tmp_path / "mine.env"
    path.write_text("AGENTCORE_WORKER_SLOTS=abc\nAGENTCORE_EGRESS_CEILING=[]\nHTTPS_PROXY=x\n")
    checks.settings_file(with_settings(path))


def test_a_file_of_settings_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match=r"cannot read AGENTCORE_SETTINGS, .*No such file"):
        checks.settings_file(with_settings(tmp_path / "none.env"))


CONFIG = {"volumes": {"postgres": {"name": "mine_postgres"}}}


def test_a_database_without_its_passwords_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [("volumes", "mine_postgres")]
    monkeypatch.setattr(checks, "_is_at_engine", lambda *what: what in found)
    with pytest.raises(ComposeError, match=r"mine_postgres .* restore the folder, or remove all"):
        checks.secrets_are_there(CONFIG, tmp_path / "secrets")
    checks.secrets_are_there(CONFIG, tmp_path)
    found.clear()
    checks.secrets_are_there(CONFIG, tmp_path / "secrets")


def test_an_image_of_ones_own_is_pulled_only_where_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(checks, "_is_at_engine", lambda *_: False)
    monkeypatch.setattr(program, "run", lambda *words: ran.append(words))

    def look(policy: str) -> None:
        service = {"image": "registry.example/runtime:1", "pull_policy": policy}
        checks.image_is_there({"services": {"migrate": service}})

    with pytest.raises(ComposeError, match="AGENTCORE_PULL_POLICY=missing"):
        look("never")
    assert not ran
    look("missing")
    assert ran == [("pull", "migrate")]


@pytest.mark.parametrize(
    ("code", "said", "refusal"),
    [
        (0, "", None),
        (
            2,
            " Container x Created\nerror: AGENTCORE_X: wrong\n Network y\n",
            "^AGENTCORE_X: wrong$",
        ),
        (2, "worker: error: argument COMMAND: invalid choice: 'settings' (choose ...)\n", None),
        (125, "Error response from daemon: no such image\n", "no such image"),
    ],
)
def test_settings_are_judged_by_the_image_that_will_run(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str, refusal: str | None
) -> None:
    config = {"services": {"worker": {"environment": {"AGENTCORE_DRAIN_SECONDS": "90"}}}}

    def ask(*words: str, **_: float) -> subprocess.CompletedProcess[str]:
        assert "AGENTCORE_DRAIN_SECONDS=90" in words  # of the worker alone, and of .env
        return subprocess.CompletedProcess(words, code, "", said)

    monkeypatch.setattr(program, "ask", ask)
    if refusal is None:
        checks.settings_are_right(config)
    else:
        with pytest.raises(ComposeError, match=refusal):
            checks.settings_are_right(config)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o700])
def test_a_mounted_file_becomes_readable_and_nothing_else(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "script.sh"
    path.touch()
    path.chmod(mode)
    checks.readable(path)
    assert path.stat().st_mode & 0o777 == mode | 0o444


@pytest.mark.parametrize(
    ("state", "starts", "problem"),
    [
        ({"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}}, 3, None),
        ({"Status": "running", "ExitCode": 0, "Health": {"Status": "starting"}}, 0, None),
        ({"Status": "created", "ExitCode": 0}, 0, None),
        ({"Status": "exited", "ExitCode": 0}, 0, None),
        ({"Status": "exited", "ExitCode": 1}, 0, "exit code 1"),
        ({"Status": "running", "ExitCode": 0, "Health": {"Status": "unhealthy"}}, 0, "unhealthy"),
        ({"Status": "restarting", "ExitCode": 2}, 4, "started 5 times"),
    ],
)
def test_who_is_not_well_is_told(state: dict[str, Any], starts: int, problem: str | None) -> None:
    assert unwell.problem_of({"State": state, "RestartCount": starts}) == problem
