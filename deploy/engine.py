"""A Docker engine that answers: the one that is there, else one that we install and start.

An engine that we started keeps running after `down`: other containers may have come to use it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import DockerException

from deploy.daemon import clear_stale_pid_files, systemd_is_running
from deploy.errors import EngineError
from deploy.progress import Progress
from deploy.system import apt_install, is_debian_like, last_line, os_release, root_prefix

PING_TIMEOUT_SECONDS = 5
START_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.2
SOCKET = Path("/var/run/docker.sock")


def ensure_engine(state: Path, say: Progress) -> bool:
    """Make sure that a Docker engine answers; returns whether this call started it.

    `state` receives the log of a dockerd that we start by hand, and a record of having done so.
    DOCKER_HOST is respected, and then nothing is started here. Raises `EngineError`.
    """
    problem = ping()
    if problem is None:
        return False
    if os.environ.get("DOCKER_HOST"):
        raise EngineError(f"DOCKER_HOST is set, but that engine does not answer ({problem})")
    if "Permission denied" in problem:
        raise EngineError(
            "this user may not use Docker; run `sudo usermod -aG docker $USER` and log in again"
        )
    prefix = root_prefix()
    if not can_install(prefix):
        raise EngineError("Docker does not answer; install Docker Engine, start it, try again")
    _install_and_start(state, prefix or (), say)
    return True


def can_install(prefix: tuple[str, ...] | None) -> bool:
    """Whether we may start (and on Debian install) an engine: root is reachable."""
    if prefix is None:
        return False
    return is_debian_like(os_release()) or _find_dockerd() is not None


def ping() -> str | None:
    """Ask the engine for a sign of life; returns None, or one line about what is wrong."""
    try:
        client = docker.from_env(timeout=PING_TIMEOUT_SECONDS)
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, OSError) as error:
        return last_line(str(error)) or type(error).__name__
    return None


def _install_and_start(state: Path, prefix: tuple[str, ...], say: Progress) -> None:
    if _find_dockerd() is None:
        apt_install("docker.io", why="no Docker engine on this machine", say=say)
    # Installing the package starts the service where there is an init system.
    if ping() is None:
        return
    logs = state / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = logs / "dockerd.log"
    say("starting the Docker engine")
    process = None
    if systemd_is_running():
        _start_unit(prefix)
    else:
        process = _start_by_hand(prefix, log)
    wait_until_answering(process, log)
    _record(state, process)


def _start_unit(prefix: tuple[str, ...]) -> None:
    done = subprocess.run(
        [*prefix, "systemctl", "start", "docker"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise EngineError("systemd could not start Docker; see `journalctl -u docker`")


def _start_by_hand(prefix: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
    dockerd = _find_dockerd()
    if dockerd is None:
        raise EngineError("docker.io is installed, but dockerd is not in PATH")
    clear_stale_pid_files(prefix)
    # Its own session: it outlives this command and the terminal.
    with log.open("ab") as output:
        return subprocess.Popen(
            [*prefix, dockerd],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def wait_until_answering(
    process: subprocess.Popen[bytes] | None,
    log: Path,
    timeout: float = START_TIMEOUT_SECONDS,
) -> None:
    """Return once the engine answers; raise `EngineError` when it dies or `timeout` s pass."""
    deadline = time.monotonic() + timeout
    problem = ping()
    while problem is not None:
        if "Permission denied" in problem:
            raise EngineError(
                "Docker runs, but not for this user; run `sudo usermod -aG docker $USER`, log in"
            )
        if process is not None and process.poll() is not None:
            raise EngineError(f"dockerd ended at once: {_tail(log)} (log: {log})")
        if time.monotonic() > deadline:
            raise EngineError(f"Docker did not answer within {timeout:.0f} s (log: {log})")
        time.sleep(POLL_SECONDS)
        problem = ping()


def _find_dockerd() -> str | None:
    # /usr/sbin is not in every user's PATH.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("dockerd", path=path)


def _tail(log: Path) -> str:
    return last_line(log.read_text(errors="replace")) or "it said nothing"


def _record(state: Path, process: subprocess.Popen[bytes] | None) -> None:
    run = state / "run"
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = {"started_by_us": True, "pid": process.pid if process else None}
    (run / "engine.json").write_text(json.dumps(facts))
