import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy import images, standins
from deploy.baseimage import debian_tag
from deploy.docker import prepare_service
from deploy.serviceimage import DOCKERFILE, service_context
from deploy.stackimages import LIMIT_MEGABYTES
from tests.harness import ROOT

TEXT = (ROOT / DOCKERFILE).read_text()
DOCKERFILES = ["runtime.Dockerfile", "sandbox.Dockerfile"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
HADOLINT = Path(sys.executable).with_name("hadolint")


def copied() -> list[str]:
    """Return what the Dockerfile copies out of the build context."""
    lines = [line.split()[1:-1] for line in TEXT.splitlines() if line.startswith("COPY ")]
    return [name for names in lines for name in names if not names[0].startswith("--from")]


def test_the_context_has_all_that_is_copied_and_nothing_else() -> None:
    names = set(service_context())
    wanted = [name for name in copied() if name != "wheels*"]
    assert wanted
    for name in wanted:
        assert any(found == name or found.startswith(name) for found in names), name
    beside = {DOCKERFILE, ".dockerignore"}
    unused = [name for name in names - beside if not any(name.startswith(part) for part in wanted)]
    assert unused == []


def test_the_context_has_no_secrets_and_no_traces_of_this_machine(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    for name in (
        "secrets/database_url", ".env", ".git/config", ".state/secrets.json", "tests/x.py",
        "api/__pycache__/app.cpython-311.pyc", "api/app.py", "deploy/prepare.py", "wheels/x.whl",
        "client/src/x.py", ".venv/bin/python",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert {name for name in service_context(tmp_path) if "/" in name} == {"api/app.py"}


def test_the_base_is_an_argument_and_the_last_stage_is_the_runtime() -> None:
    assert "ARG BASE=python:3.12-slim\n" in TEXT
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", TEXT, re.MULTILINE)
    assert stages[0][0] == "${BASE}"
    assert stages[-1] == ("application", "runtime")
    assert ("application", "development") in stages


def test_it_runs_nothing_through_a_shell_and_ends_without_root() -> None:
    forms = re.findall(r"^(?:RUN|CMD|ENTRYPOINT) (.*)$", TEXT, re.MULTILINE)
    assert forms
    assert all(form.startswith("[") for form in forms)
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["1000:1000"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_labels_tell_version_and_base_and_no_place(name: str) -> None:
    text = (ROOT / "deploy/docker" / name).read_text()
    assert f"ARG VERSION={VERSION}\n" in text  # of a build without us
    found = dict(re.findall(r'org\.opencontainers\.image\.(\S+)="([^"]*)"', text))
    assert found.pop("title") and found.pop("description")
    assert found == {
        "vendor": "AgentCore",
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "base.name": "${BASE}",
    }
    # An argument is empty in a stage that does not name it.
    last = text[text.index("FROM scratch") :]
    assert all(f"ARG {word}" in last for word in ("BASE", "VERSION", "REVISION"))


def test_a_build_is_told_version_and_base() -> None:
    told = images.about("python:3.12-slim")
    assert told.pop("REVISION")
    assert told == {"BASE": "python:3.12-slim", "VERSION": VERSION}
    # No registry's host: the first part of such a name has a dot or a port.
    for base in (standins.PYTHON.official, standins.PYTHON.name, debian_tag({})):
        assert not re.search(r"[.:].*/", base)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    done = subprocess.run(
        [HADOLINT, "--no-color", ROOT / "deploy/docker" / name],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_limits_are_those_promised() -> None:
    assert LIMIT_MEGABYTES == {"agentcore/sandbox:dev": 80, "agentcore/runtime:dev": 300}


def test_an_account_is_added_once(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    for _ in range(2):
        prepare_service.add_line(file, "agentcore", "agentcore:x:1000:1000")
    assert file.read_text() == "agentcore:x:1000:1000\n"
    prepare_service.add_line(file, "agent", "agent:x:1:1")
    assert file.read_text().splitlines() == ["agentcore:x:1000:1000", "agent:x:1:1"]


def test_code_of_a_strict_umask_becomes_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_service.os, "chown", lambda *_: None)
    (tmp_path / "app").mkdir(mode=0o700)
    for name, mode in (("module.py", 0o600), ("program", 0o700), ("open", 0o666)):
        (tmp_path / "app" / name).touch()
        (tmp_path / "app" / name).chmod(mode)
    prepare_service.open_for_reading(tmp_path / "app")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"app": 0o755, "module.py": 0o644, "program": 0o755, "open": 0o644}


def test_the_command_names_the_parts_that_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.stackimages", "sandbocks"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "sandbocks: none of sandbox, service, services" in done.stderr
