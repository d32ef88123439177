"""Loading the AppArmor profiles: a stand-in for the parser shows what it is given."""

from pathlib import Path

import pytest

from security_profiles import LoadError, load_apparmor, render_apparmor
from security_profiles.cli import main

NAMES = ["agentcore-minimal", "agentcore-standard", "agentcore-privileged"]


@pytest.fixture
def switch(tmp_path: Path) -> Path:
    file = tmp_path / "enabled"
    file.write_text("Y\n")
    return file


def parser(folder: Path, script: str) -> str:
    """A folder for PATH whose apparmor_parser is `script`."""
    file = folder / "apparmor_parser"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(folder)


def test_every_profile_is_given_to_the_parser_to_replace(tmp_path: Path, switch: Path) -> None:
    log = tmp_path / "log"
    path = parser(tmp_path, f'echo "called $*" >> {log}; cat >> {log}')
    assert load_apparmor(switch=switch, path=path) == NAMES
    texts = [render_apparmor(name) for name in ("minimal", "standard", "privileged")]
    assert log.read_text() == "".join(f"called -r\n{text}" for text in texts)


def test_missing_parser_says_what_to_install(tmp_path: Path, switch: Path) -> None:
    with pytest.raises(LoadError, match="apt-get install apparmor"):
        load_apparmor(switch=switch, path=str(tmp_path))


@pytest.mark.parametrize("content", [None, "N\n", ""])
def test_kernel_without_apparmor_says_how_to_start_it(tmp_path: Path, content: str | None) -> None:
    switch = tmp_path / "enabled"
    if content is not None:
        switch.write_text(content)
    with pytest.raises(LoadError, match="apparmor=1 security=apparmor"):
        load_apparmor(switch=switch, path=parser(tmp_path, "exit 0"))


def test_refusal_of_the_parser_is_said_in_one_line(tmp_path: Path, switch: Path) -> None:
    path = parser(tmp_path, "cat > /dev/null; echo 'no\nroot' >&2; exit 1")
    with pytest.raises(LoadError, match=r"refused agentcore-minimal .*root.*: no root$"):
        load_apparmor(switch=switch, path=path)


def test_command_says_what_was_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("security_profiles.cli.load_apparmor", lambda: NAMES)
    assert main(["load"]) == 0
    assert capsys.readouterr().out == "".join(f"loaded {name}\n" for name in NAMES)


def test_command_fails_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load_apparmor, "__kwdefaults__", {"switch": tmp_path, "path": ""})
    assert main(["load"]) == 2
    assert capsys.readouterr().err.startswith("error: apparmor_parser is not installed")
