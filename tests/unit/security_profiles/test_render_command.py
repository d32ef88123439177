"""`python -m security_profiles render`: the committed files, and one file for one agent."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from security_profiles import (
    InvalidAgentIdError,
    UnsafeDirectoryError,
    render_seccomp,
    rendered_files,
    write_agent_profile,
)
from security_profiles.cli import main
from security_profiles.files import DIRECTORY_VARIABLE, RENDERED_DIRECTORY, write_rendered


def test_committed_files_are_what_the_data_renders_to() -> None:
    for name, text in rendered_files().items():
        assert (RENDERED_DIRECTORY / name).read_text() == text
    assert {path.name for path in RENDERED_DIRECTORY.iterdir()} == set(rendered_files())


def test_committed_json_is_the_rendered_data() -> None:
    for name in ("minimal", "standard"):
        text = (RENDERED_DIRECTORY / f"agentcore-{name}.json").read_text()
        assert json.loads(text) == render_seccomp(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: folder.chmod(0o777), "is world-writable"),
        (lambda folder: (folder / "agentcore-minimal.json").write_text("{"), "does not parse"),
        (lambda folder: (folder / "agentcore-minimal.json").write_text("{}"), "differs"),
        (lambda folder: (folder / "agentcore-privileged.apparmor").unlink(), "is missing"),
    ],
)
def test_check_refuses_with_the_reason(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], object],
    words: str,
) -> None:
    write_rendered(tmp_path)
    assert main(["render", "--check", "--directory", str(tmp_path)]) == 0
    change(tmp_path)
    assert main(["render", "--check", "--directory", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


def test_environment_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    assert main(["render", "--check"]) == 1
    assert main(["render"]) == 0
    assert main(["render", "--agent-id", "mailer"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {*rendered_files(), "mailer-standard.json"}
    assert main(["render", "--check"]) == 0


def test_directory_of_the_environment_must_not_be_world_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o1777)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    assert main(["render"]) == main(["render", "--agent-id", "mailer"]) == 2
    assert capsys.readouterr().err.count("is world-writable") == 2
    assert list(tmp_path.iterdir()) == []


def test_command_works_as_a_module() -> None:
    command = [sys.executable, "-m", "security_profiles", "render", "--check"]
    root = RENDERED_DIRECTORY.parent.parent
    assert subprocess.run(command, cwd=root, check=False).returncode == 0


def test_agent_file_holds_the_changed_profile(tmp_path: Path) -> None:
    arguments = ["--agent-id", "mailer", "--profile", "minimal", "--directory", str(tmp_path)]
    assert main(["render", *arguments, "--allow", "sync", "--block", "symlink"]) == 0
    written = json.loads((tmp_path / "mailer-minimal.json").read_text())
    assert written == render_seccomp(
        "minimal", allowed_syscalls=["sync"], blocked_syscalls=["symlink"]
    )


def test_agent_file_is_readable_and_nothing_else_is_left(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        path = write_agent_profile(agent_id="a", profile_name="standard", directory=tmp_path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_agent_file_replaces_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "a-standard.json").symlink_to(target)
    path = write_agent_profile(agent_id="a", profile_name="standard", directory=tmp_path)
    assert target.read_text() == "mine"
    assert not path.is_symlink()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_world_writable_directory_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(UnsafeDirectoryError, match="world-writable"):
        write_agent_profile(agent_id="a", profile_name="standard", directory=folder)
    assert list(folder.iterdir()) == []


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeDirectoryError, match="cannot use"):
        write_agent_profile(agent_id="a", profile_name="standard", directory=tmp_path / "none")


@pytest.mark.parametrize(
    "agent_id", ["", "A", "-a", "a/b", "..", "a_b", "a" * 64, "a\n", "agentcore"]
)
def test_unusable_agent_id_is_refused(tmp_path: Path, agent_id: str) -> None:
    with pytest.raises(InvalidAgentIdError):
        write_agent_profile(agent_id=agent_id, profile_name="standard", directory=tmp_path)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--profile", "root"], "use one of minimal"),
        (["--allow", "mount"], "mount cannot be allowed"),
        (["--allow", "raed"], "not a Linux system call"),
        (["--block", "execve"], "execve cannot be blocked"),
    ],
)
def test_refusal_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], words: str
) -> None:
    assert main(["render", "--agent-id", "a", "--directory", str(tmp_path), *extra]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--allow", "sync"], ["--agent-id", "a"]])
def test_incomplete_options_are_explained(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["render", *arguments])
    assert "need" in capsys.readouterr().err


def test_a_permitted_dangerous_call_is_rendered_for_an_agent(tmp_path, capsys):
    call = ["render", "--agent-id", "debugger", "--allow", "ptrace", "--directory", str(tmp_path)]
    assert main(call) != 0
    assert "--permit" in capsys.readouterr().err
    assert main([*call, "--permit", "ptrace"]) == 0
    assert '"ptrace"' in (tmp_path / "debugger-standard.json").read_text()
