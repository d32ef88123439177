"""`python -m security_profiles render`: the committed files, and one file for one agent."""

import json
import os
import stat
import subprocess
import sys
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
from security_profiles.files import RENDERED_DIRECTORY, differing_files, write_rendered


def test_committed_files_are_what_the_data_renders_to() -> None:
    assert differing_files() == []
    assert {path.name for path in RENDERED_DIRECTORY.iterdir()} == set(rendered_files())


def test_committed_json_is_the_rendered_data() -> None:
    for name in ("minimal", "standard"):
        text = (RENDERED_DIRECTORY / f"agentcore-{name}.json").read_text()
        assert json.loads(text) == render_seccomp(name)


def test_changed_and_missing_files_are_found(tmp_path: Path) -> None:
    write_rendered(tmp_path)
    assert differing_files(tmp_path) == []
    changed, missing = tmp_path / "agentcore-minimal.json", tmp_path / "agentcore-standard.apparmor"
    changed.write_text(changed.read_text() + " ")
    missing.unlink()
    assert set(differing_files(tmp_path)) == {changed, missing}


def test_check_names_the_file_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("security_profiles.files.differing_files.__defaults__", (tmp_path,))
    assert main(["render", "--check"]) == 1
    assert "agentcore-minimal.json differs" in capsys.readouterr().err


def test_command_works_as_a_module() -> None:
    command = [sys.executable, "-m", "security_profiles", "render", "--check"]
    root = RENDERED_DIRECTORY.parent.parent
    assert subprocess.run(command, cwd=root, check=False).returncode == 0


def test_agent_file_holds_the_changed_profile(tmp_path: Path) -> None:
    arguments = ["--agent-id", "mailer", "--profile", "minimal", "--directory", str(tmp_path)]
    assert main(["render", *arguments, "--allow", "sync", "--block", "ioctl"]) == 0
    written = json.loads((tmp_path / "mailer-minimal.json").read_text())
    assert written == render_seccomp(
        "minimal", allowed_syscalls=["sync"], blocked_syscalls=["ioctl"]
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


@pytest.mark.parametrize("agent_id", ["", "A", "-a", "a/b", "..", "a_b", "a" * 64, "a\n"])
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
