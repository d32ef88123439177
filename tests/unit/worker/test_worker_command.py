"""What keeps a worker from starting at all."""

import json
from pathlib import Path

import pytest

from models.settings import load_settings
from security_profiles.files import write_rendered
from worker.__main__ import main


@pytest.fixture
def profiles(monkeypatch, tmp_path) -> Path:
    """A good profile directory that the settings name."""
    directory = tmp_path / "profiles"
    directory.mkdir(mode=0o755)
    write_rendered(directory)
    monkeypatch.setenv("AGENTCORE_PROFILE_DIRECTORY", str(directory))
    load_settings.cache_clear()
    yield directory
    load_settings.cache_clear()


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """The names of the Celery workers that would run by now."""
    names: list[str] = []
    monkeypatch.setattr("worker.processes.celery_worker", lambda name, *_: names.append(name))
    return names


def test_a_worker_starts_beside_good_profiles(profiles, started):
    assert main(["run"]) == 0
    assert started == ["worker"]


def _spoil_mode(directory: Path) -> None:
    directory.chmod(0o777)


def _spoil_text(directory: Path) -> None:
    (directory / "agentcore-standard.json").write_text("{")


def _spoil_rules(directory: Path) -> None:
    path = directory / "agentcore-minimal.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "defaultAction": "SCMP_ACT_ALLOW"}))


def _spoil_agent(directory: Path) -> None:
    (directory / "search-standard.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')


def _spoil_all(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_spoil_mode, "world-writable"),
        (_spoil_text, "does not parse"),
        (_spoil_rules, "differs"),
        (_spoil_agent, "refuse by default"),
        (_spoil_all, "missing"),
    ],
)
def test_a_worker_refuses_to_start_beside_bad_profiles(profiles, started, capsys, spoil, word):
    spoil(profiles)
    assert main(["run"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: AGENTCORE_PROFILE_DIRECTORY: ")
    assert word in said
    assert started == []
