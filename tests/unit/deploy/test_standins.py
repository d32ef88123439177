import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import ImageNotFound

from deploy import baseimage, standins
from deploy.errors import ImageError
from deploy.standins import FILES, POSTGRES, PYTHON, REDIS, REGISTRY, StandIn

ALL = [PYTHON, POSTGRES, REDIS, REGISTRY]


def finish(standin: StandIn, root: Path) -> None:
    """Run the hooks on an unpacked root, but for owners, which only root may give."""
    (root / "etc").mkdir(parents=True)
    for hook in standin.hooks():
        command = hook.replace("-o 999 -g 999", "")
        subprocess.run(["sh", "-ec", command, "sh", str(root)], check=True)


def test_hooks_add_accounts_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/postgresql/15/bin").mkdir(parents=True)
    (tmp_path / "usr/share/doc/x").mkdir(parents=True)
    finish(POSTGRES, tmp_path)
    assert (
        "postgres:x:999:999::/var/lib/postgresql:/bin/sh"
        in (tmp_path / "etc/passwd").read_text().splitlines()
    )
    assert (tmp_path / "usr/local/bin/postgres.sh").read_text() == (
        FILES / "postgres.sh"
    ).read_text()
    assert (tmp_path / "usr/lib/postgresql/current/bin").is_dir()
    assert (tmp_path / "var/lib/postgresql").is_dir()
    assert (tmp_path / "var/run/postgresql").stat().st_mode & 0o7777 == 0o1777
    assert not (tmp_path / "usr/share/doc").exists()


def test_an_image_without_a_user_of_its_own_knows_root_alone(tmp_path: Path) -> None:
    finish(REGISTRY, tmp_path)
    assert (tmp_path / "etc/passwd").read_text() == "root:x:0:0:root:/root:/bin/sh\n"
    assert (tmp_path / "etc/docker/registry/config.yml").is_file()


def test_hash_changes_with_the_recipe_and_with_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len({standin.content_hash() for standin in ALL}) == len(ALL)
    assert replace(REDIS, packages="valkey").content_hash() != REDIS.content_hash()
    before = POSTGRES.content_hash()
    (tmp_path / "postgres.sh").write_text("another")
    monkeypatch.setattr(standins, "FILES", tmp_path)
    assert POSTGRES.content_hash() != before


def test_changes_are_what_an_import_takes() -> None:
    # The engine refuses all others in an import.
    allowed = (
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "ONBUILD",
        "USER",
        "VOLUME",
        "WORKDIR",
        "LABEL",
    )
    for standin in ALL:
        assert all(change.split()[0] in allowed for change in standin.changes)


def test_where_there_are_no_debian_packages_it_says_what_to_pull(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(baseimage, "os_release", lambda: {"ID": "alpine"})
    with pytest.raises(ImageError, match="pull redis:8-alpine"):
        baseimage.import_packages(
            None,  # type: ignore[arg-type] - nothing is asked of the engine
            REDIS.name, REDIS.packages, print, stands_for=REDIS.official,
        )  # fmt: skip


class Engine:
    """As much of an engine as is asked which images there are."""

    def __init__(self, **labels: dict[str, str]) -> None:
        self.images = self
        self._labels = labels

    def get(self, name: str) -> Any:
        if name not in self._labels:
            raise ImageNotFound(name)
        return SimpleNamespace(labels=self._labels[name], id=name)


def obtain(monkeypatch: pytest.MonkeyPatch, kept: str, **labels: dict[str, str]) -> tuple[str, int]:
    """Return what is obtained where a registry answers, and how often something is made."""
    made: list[str] = []
    monkeypatch.setattr(standins, "pull", lambda _: None)
    monkeypatch.setattr(standins, "_make", lambda _client, standin, _say: made.append(standin.name))
    engine: Any = Engine(**labels)
    small = replace(REDIS, name="ours", official="official")
    return standins.obtain(engine, small, print, kept), len(made)


def test_a_stand_in_that_holds_data_stays_when_a_registry_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here: dict[str, dict[str, str]] = {"ours": {}, "official": {}, "older": {}}
    assert obtain(monkeypatch, "", **here) == ("official", 0)
    # Made anew where its recipe has changed, and never of another release.
    assert obtain(monkeypatch, "ours", **here) == ("ours", 1)
    assert obtain(monkeypatch, "older", **here) == ("older", 0)
    assert obtain(monkeypatch, "gone", **here) == ("official", 0)
    assert obtain(monkeypatch, "") == ("official", 0)


def test_the_entrypoint_is_a_script_that_a_shell_can_read() -> None:
    subprocess.run(["sh", "-n", FILES / "postgres.sh"], check=True)
