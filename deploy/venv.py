"""The project's virtual environment: `.venv`, filled from the lock file with hashes checked.

Standard library only, like all that the bootstrap imports. The machine's pip settings stay as they
are: they are neither read nor written here, and pip itself honours them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.errors import BootstrapError
from deploy.locking import exclusive_lock
from deploy.piplog import explain
from deploy.steps import PlainSteps
from deploy.system import apt_install

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILE = "requirements-dev.lock"
HEARTBEAT_SECONDS = 2.0
SMOKE_TEST = "import alembic, celery, docker, fastapi, psycopg, pytest, sqlalchemy"


def bootstrap(root: Path = ROOT) -> int:
    """Bring `root/.venv` up to date with `root/requirements-dev.lock`; returns 0.

    Raises `BootstrapError` with one line about the cause.
    """
    state = root / ".state"
    state.mkdir(mode=0o700, exist_ok=True)
    with exclusive_lock(state / "bootstrap.lock", say=lambda line: print(line, flush=True)):
        Environment(root).refresh(PlainSteps(total=4))
    return 0


class Environment:
    """A virtual environment and the stamps that say what is in it."""

    def __init__(self, root: Path) -> None:
        """Take the project's root folder; nothing is touched yet."""
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.log = root / ".state" / "logs" / "bootstrap.log"
        # Exists while pip is at work: found at the start, it means that an earlier run was cut off.
        self._unfinished = self.venv / ".installing"

    def refresh(self, steps: PlainSteps) -> None:
        """Do what is missing, and say so step by step."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        fresh = not self.is_usable()
        steps.run("Python environment", self._create if fresh else None)
        packages = self._when_changed("lock-stamp", self.root / LOCK_FILE, self._install_packages)
        steps.run("Packages", packages)
        client = self._when_changed(
            "client-stamp", self.root / "client" / "pyproject.toml", self._install_client
        )
        steps.run("Client", client)
        steps.run("Check", self._check if packages or client else None)

    def is_usable(self) -> bool:
        """Whether the environment is whole: made here, finished, and its Python still runs."""
        origin = self.venv / ".origin"
        if self._unfinished.exists() or not origin.is_file() or not self.python.exists():
            return False
        # A moved project keeps scripts whose first line names the old place.
        if origin.read_text() != str(self.root):
            return False
        try:
            probe = subprocess.run(
                [self.python, "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"],
                capture_output=True,
                check=False,
            )
        except OSError:
            return False
        return probe.returncode == 0

    def _create(self, beat: Callable[[], None]) -> None:
        if (
            importlib.util.find_spec("ensurepip") is None
            or importlib.util.find_spec("venv") is None
        ):
            version = f"python{sys.version_info.major}.{sys.version_info.minor}"
            apt_install(
                f"{version}-venv",
                why=f"{sys.executable} cannot make virtual environments",
                say=lambda line: print(line, end=" ", flush=True),
            )
        shutil.rmtree(self.venv, ignore_errors=True)
        self._run([sys.executable, "-m", "venv", str(self.venv)], beat)
        (self.venv / ".origin").write_text(str(self.root))

    def _when_changed(
        self, stamp_name: str, source: Path, install: Callable[[Callable[[], None]], None]
    ) -> Callable[[Callable[[], None]], None] | None:
        """Return the work to do when `source` differs from what its stamp recorded, else None."""
        if not source.is_file():
            return None
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        stamp = self.venv / f".{stamp_name}"

        def work(beat: Callable[[], None]) -> None:
            self._unfinished.touch()
            install(beat)
            stamp.write_text(digest)

        return None if stamp.is_file() and stamp.read_text() == digest else work

    def _install_packages(self, beat: Callable[[], None]) -> None:
        self._pip(["--require-hashes", "-r", str(self.root / LOCK_FILE)], beat)

    def _install_client(self, beat: Callable[[], None]) -> None:
        self._pip(["--no-deps", "--no-build-isolation", "-e", str(self.root / "client")], beat)

    def _pip(self, words: list[str], beat: Callable[[], None]) -> None:
        options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        self._run([str(self.python), "-m", "pip", "install", *options, *words], beat)

    def _check(self, beat: Callable[[], None]) -> None:
        self._run([str(self.python), "-c", SMOKE_TEST], beat)
        self._unfinished.unlink()

    def _run(self, command: list[str], beat: Callable[[], None]) -> None:
        """Run a command into the log, calling `beat` about every two seconds."""
        try:
            with self.log.open("ab") as log:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_clean_environ()
                )
                code = _wait(process, beat)
        except OSError as error:
            raise BootstrapError(f"cannot run {command[0]}: {error.strerror}") from error
        if code != 0:
            raise BootstrapError(explain(self.log.read_text(errors="replace"), self.log))


def _wait(process: subprocess.Popen[bytes], beat: Callable[[], None]) -> int:
    try:
        while True:
            try:
                return process.wait(timeout=HEARTBEAT_SECONDS)
            except subprocess.TimeoutExpired:
                beat()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _clean_environ() -> dict[str, str]:
    """Return our environment without what would point the new Python elsewhere."""
    dropped = {"PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in dropped}
