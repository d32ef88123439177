"""What is said about a profile directory."""

import json
import os
from pathlib import Path

import pytest

from security_profiles import check_directory, render_seccomp, write_agent_profile
from security_profiles.files import RENDERED_DIRECTORY, rendered_files, write_rendered


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_rendered(tmp_path)
    return tmp_path


def only_problem(directory: Path) -> str:
    (problem,) = check_directory(directory)
    return problem


def test_committed_directory_has_no_problem() -> None:
    assert check_directory(RENDERED_DIRECTORY) == []


def test_rendered_directory_with_an_agents_file_has_no_problem(directory: Path) -> None:
    write_agent_profile(agent_id="mailer", profile_name="standard", directory=directory)
    assert check_directory(directory) == []


def test_missing_directory_is_one_problem(tmp_path: Path) -> None:
    assert "is missing or no directory" in only_problem(tmp_path / "none")
    file = tmp_path / "file"
    file.touch()
    assert "is missing or no directory" in only_problem(file)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_world_writable_directory_is_a_problem(directory: Path, mode: int) -> None:
    directory.chmod(mode)
    assert "is world-writable" in only_problem(directory)


@pytest.mark.parametrize("name", rendered_files())
def test_each_rendered_file_is_looked_at(directory: Path, name: str) -> None:
    file = directory / name
    file.write_text(file.read_text() + "\n")
    assert f"{name} differs" in only_problem(directory)
    file.unlink()
    assert f"{name} is missing" in only_problem(directory)


def test_world_writable_file_is_a_problem(directory: Path) -> None:
    (directory / "agentcore-minimal.json").chmod(0o666)
    assert "agentcore-minimal.json is world-writable" in only_problem(directory)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[]", b"[" * 100_000])
def test_rendered_file_that_does_not_parse_is_a_problem(directory: Path, content: bytes) -> None:
    (directory / "agentcore-standard.json").write_bytes(content)
    assert "agentcore-standard.json does not parse" in only_problem(directory)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[]"])
def test_agents_file_that_does_not_parse_is_a_problem(directory: Path, content: bytes) -> None:
    (directory / "mailer-standard.json").write_bytes(content)
    assert "mailer-standard.json does not parse" in only_problem(directory)


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", None])
def test_agents_file_that_allows_by_default_is_a_problem(
    directory: Path, default: str | None
) -> None:
    profile = render_seccomp("standard") | {"defaultAction": default}
    (directory / "mailer-minimal.json").write_text(json.dumps(profile))
    assert "mailer-minimal.json does not refuse by default" in only_problem(directory)


def test_agents_file_that_is_a_pipe_is_a_problem_and_not_waited_for(directory: Path) -> None:
    os.mkfifo(directory / "mailer-minimal.json")
    assert "mailer-minimal.json is no file" in only_problem(directory)


def test_other_files_are_nobodys_business(directory: Path) -> None:
    (directory / "notes.json").write_text("{")
    (directory / "README").touch()
    assert check_directory(directory) == []


def test_every_problem_is_said(directory: Path) -> None:
    (directory / "agentcore-minimal.json").unlink()
    (directory / "a-standard.json").write_text("{")
    directory.chmod(0o777)
    assert len(check_directory(directory)) == 3
