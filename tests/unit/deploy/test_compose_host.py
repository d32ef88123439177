import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import compose_secrets
from deploy.compose import dotenv, host, program
from deploy.errors import ComposeError
from deploy.stackimages import SERVICES

GROUP, VOLUMES, HASH = "DOCKER_GROUP_ID", "AGENTCORE_VOLUMES", "AGENTCORE_SECRETS_HASH"


def test_facts_come_after_what_people_set(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    dotenv.write(path, {GROUP: "1", VOLUMES: "/2"})
    assert path.read_text() == f"{dotenv.MARK}\n{GROUP}=1\n{VOLUMES}=/2\n"
    path.write_text(f"# mine\nexport {VOLUMES}=/9\n" + path.read_text())
    dotenv.write(path, {GROUP: "3", VOLUMES: "/4", HASH: "5"})
    mine = f"# mine\nexport {VOLUMES}=/9\n{dotenv.MARK}\n"
    assert path.read_text() == f"{mine}{GROUP}=3\n{HASH}=5\n"
    dotenv.write(path, {})
    assert path.read_text() == mine


def test_what_people_add_at_the_end_goes_above_the_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".env"
    dotenv.write(path, {GROUP: "1"})
    with path.open("a") as file:
        file.write("# slower\nAGENTCORE_DRAIN_SECONDS=90\n")
    monkeypatch.setattr(dotenv.os, "environ", {})
    assert dotenv.asked(path) == {"AGENTCORE_DRAIN_SECONDS": "90"}
    assert dotenv.written(path) == {GROUP: "1"}
    for group in ("1", "2"):
        dotenv.write(path, {GROUP: group})
        added = "# slower\nAGENTCORE_DRAIN_SECONDS=90\n"
        assert path.read_text() == f"{added}{dotenv.MARK}\n{GROUP}={group}\n"


def test_all_that_is_written_is_known_as_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SimpleNamespace(info=lambda: {"DockerRootDir": "/var/lib/docker"}, close=int)
    monkeypatch.setattr(host.docker, "from_env", lambda **_: engine)
    monkeypatch.setattr(host, "SOCKET", tmp_path)
    (tmp_path / "x").touch()
    config = {"secrets": {"x": {"file": str(tmp_path / "x")}}}
    images = dict.fromkeys(SERVICES, "a stand-in")
    assert host.facts(images).keys() | host.fingerprint(config).keys() == dotenv.OURS


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(ComposeError, match="DOCKER_HOST"):
        host.facts({})


def test_compose_is_the_one_of_the_environment_else_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.command()[0] == str(Path(sys.executable).with_name("docker-compose"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ComposeError, match="make bootstrap"):
        program.command()
    (tmp_path / "docker").touch(mode=0o755)
    assert program.command()[:2] == ["docker", "compose"]


def test_a_compose_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "command", lambda: ["false"])
    with pytest.raises(ComposeError, match="docker compose up --wait: exit code 1"):
        program.run("up", "--wait")


def test_the_command_refuses_what_it_does_not_know() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.compose", "explode"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_secrets_are_made_once_and_differ(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    compose_secrets.main(folder)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    compose_secrets.main(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    compose_secrets.main(tmp_path / "others")
    others = {path.name: path.read_text() for path in (tmp_path / "others").iterdir()}
    assert others.keys() == first.keys()
    assert not set(others.values()) & set(first.values())


def test_a_fingerprint_changes_with_each_file_and_holds_none(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("secret")
    second.write_text("other")
    before = compose_secrets.fingerprint([first, second])
    assert before == compose_secrets.fingerprint([second, first])
    assert len(before) == 16 and int(before, 16)
    second.write_text("another")
    assert compose_secrets.fingerprint([first, second]) != before


def test_a_secret_that_is_missing_is_told_in_one_line(tmp_path: Path) -> None:
    config = {"secrets": {"broker_url": {"file": str(tmp_path / "broker_url")}}}
    with pytest.raises(ComposeError, match=r"cannot read the secret .*broker_url: No such file"):
        host.fingerprint(config)


def test_what_people_set_is_read_as_compose_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".env"
    path.write_text("export A=1\nB='two words'\n# C=3\nD = \"x\" # why\nE=5 # five\nF=\nG=7\n")
    dotenv.write(path, {GROUP: "8"})
    monkeypatch.setattr(dotenv.os, "environ", {"G": "", "I": "shell", "A": "shell"})
    asked = dotenv.asked(path)
    assert asked == {"A": "shell", "B": "two words", "D": "x", "E": "5", "I": "shell"}
    assert dotenv.written(path) == {GROUP: "8"}
    assert dotenv.written(tmp_path / "none") == {}
