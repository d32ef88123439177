import subprocess
import sys
from pathlib import Path

import pytest

from deploy import piplog
from deploy.entry import run_main
from deploy.errors import BootstrapError
from deploy.locking import exclusive_lock
from deploy.steps import PlainSteps
from deploy.venv import Environment

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements-dev.lock").write_text("")
    return tmp_path


@pytest.fixture
def environment(project: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    # An empty lock installs nothing, so the check may only ask for what is always there.
    monkeypatch.setattr("deploy.venv.SMOKE_TEST", "import pip")
    made = Environment(project)
    made.refresh(PlainSteps(total=4))
    return made


def test_bootstrap_imports_only_the_standard_library() -> None:
    # Without site there is no site-packages: any dependency would fail to import.
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import deploy.bootstrap, deploy.entry, deploy.venv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_second_run_changes_nothing(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    environment.refresh(PlainSteps(total=4))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.endswith("unchanged") for line in lines)


def test_changed_lock_installs_again(
    environment: Environment, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "requirements-dev.lock").write_text("# changed\n")
    capsys.readouterr()
    environment.refresh(PlainSteps(total=4))
    states = [line.endswith("unchanged") for line in capsys.readouterr().out.splitlines()]
    assert states == [True, False, True, False]


def test_interrupted_installation_makes_the_environment_unusable(environment: Environment) -> None:
    assert environment.is_usable()
    (environment.venv / ".installing").touch()
    assert not environment.is_usable()


def test_environment_with_a_missing_interpreter_is_made_anew(environment: Environment) -> None:
    environment.python.unlink()
    assert not environment.is_usable()
    environment.refresh(PlainSteps(total=4))
    assert environment.is_usable()


def test_moved_project_makes_the_environment_unusable(
    environment: Environment, tmp_path: Path
) -> None:
    (environment.venv / ".origin").write_text(str(tmp_path / "elsewhere"))
    assert not environment.is_usable()


def test_requirement_without_hash_is_refused_in_one_line(
    environment: Environment, project: Path
) -> None:
    (project / "requirements-dev.lock").write_text("celery==5.7.0\n")
    with pytest.raises(BootstrapError) as caught:
        environment.refresh(PlainSteps(total=4))
    assert "\n" not in str(caught.value)
    assert not environment.is_usable()


@pytest.mark.parametrize(
    ("output", "meaning"),
    [
        ("OSError: [Errno 28] No space left on device\nConnection refused", "disk is full"),
        ("... Temporary failure in name resolution ...\nERROR: no matching", "check the network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "differs from its hash"),
        ("something\nERROR: odd thing\n\n", "ERROR: odd thing"),
        ("", "installation failed"),
    ],
)
def test_pip_failures_are_explained_in_one_line(output: str, meaning: str) -> None:
    line = piplog.explain(output, Path("pip.log"))
    assert meaning in line
    assert "\n" not in line


def test_second_holder_waits_for_the_lock(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib; from deploy.locking import exclusive_lock\n"
        "with exclusive_lock(pathlib.Path(sys.argv[1]), say=print):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin and holder.stdout
        assert holder.stdout.readline() == "held\n"

        def let_go(line: str) -> None:
            # Being told to wait is what lets the holder go: without waiting this hangs.
            said.append(line)
            holder.communicate("")

        with exclusive_lock(path, say=let_go):
            assert holder.returncode == 0
    assert len(said) == 1


def test_errors_for_people_have_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise BootstrapError("do this next")

    assert run_main(fail) == 1
    assert capsys.readouterr().err.strip() == "error: do this next"


def test_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        with Path("/dev/full").open("w", buffering=1) as full:
            full.write("x\n")
        return 0

    assert run_main(fail) == 1
    assert "disk is full" in capsys.readouterr().err


def test_interrupt_exits_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise KeyboardInterrupt

    assert run_main(fail) == 130
    assert "run the same command again" in capsys.readouterr().err
