import subprocess
import sys
from pathlib import Path

import pytest

from deploy import engine
from deploy.daemon import is_stale
from deploy.errors import EngineError
from deploy.system import is_debian_like, last_line


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "comm").write_text("dockerd\n")
    return tmp_path


def test_pid_file_of_a_living_dockerd_is_kept(proc: Path) -> None:
    assert not is_stale("42\n", "dockerd", proc)


@pytest.mark.parametrize("content", ["43", "", "nonsense", "-1", "../42", "٤٢"])
def test_pid_file_that_names_no_living_process_is_stale(proc: Path, content: str) -> None:
    assert is_stale(content, "dockerd", proc)


def test_pid_file_that_names_a_stranger_is_stale(proc: Path) -> None:
    assert is_stale("42", "containerd", proc)


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ({"ID": "debian"}, True),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, True),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, True),
        ({"ID": "fedora", "ID_LIKE": "rhel"}, False),
        ({}, False),
    ],
)
def test_debian_and_its_children_are_recognised(release: dict[str, str], expected: bool) -> None:
    assert is_debian_like(release) is expected


def test_docker_host_that_does_not_answer_starts_nothing_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineError, match="DOCKER_HOST is set") as caught:
        engine.ensure_engine(tmp_path, lambda _: None)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_dockerd_that_ends_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    log = tmp_path / "dockerd.log"
    log.write_text("first\nfailed to start daemon: no cgroups\n")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(EngineError, match="no cgroups"):
        engine.wait_until_answering(ended, log)


def test_engine_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineError, match="did not answer within"):
        engine.wait_until_answering(None, tmp_path / "log", timeout=0.3)


def test_nothing_is_installed_without_a_way_to_be_root() -> None:
    assert not engine.can_install(None)


def test_last_line_skips_blank_lines() -> None:
    assert last_line("a\n b \n\n") == "b"
    assert last_line("") == ""
