import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.errors import (
    DiskFullError,
    PortInUseError,
    ServiceStartError,
    StateDirectoryError,
)
from deploy.local import stack as stack_module
from deploy.local.handles import ProcessHandle, stop_all, wait_until_dead
from deploy.local.ports import listener_pid, require_free_port
from deploy.local.processes import ProcessSpec, Supervisor
from deploy.local.secrets import SecretStore, write_private
from deploy.local.sockets import (
    SOCKET_PATH_LIMIT,
    make_socket_directory,
    remove_socket_directory,
    socket_directory,
)
from deploy.local.stack import LocalStack

READY = "print('ready', flush=True);"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY} signal.pause()"


def spawn(code: str) -> tuple[subprocess.Popen[str], ProcessHandle]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    handle = ProcessHandle.of(process.pid)
    assert handle is not None
    return process, handle


def test_handle_survives_its_file(tmp_path: Path) -> None:
    mine = ProcessHandle.of(os.getpid())
    assert mine is not None
    mine.save(tmp_path / "x.json")
    assert ProcessHandle.load(tmp_path / "x.json") == mine
    assert mine.is_alive()
    assert mine.age_seconds() > 0


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1}', "nonsense"])
def test_damaged_handle_file_counts_as_missing(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert ProcessHandle.load(tmp_path / "x.json") is None


def test_process_with_another_start_time_is_never_signalled() -> None:
    process, handle = spawn(f"import signal; {READY} signal.pause()")
    stranger = ProcessHandle(pid=handle.pid, started=handle.started + 1, boot=handle.boot)
    try:
        assert not stranger.is_alive()
        assert stop_all([stranger], timeout=0.1) == []
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_sigterm_is_enough_for_a_polite_process() -> None:
    process, handle = spawn(f"import signal; {READY} signal.pause()")
    assert stop_all([handle], timeout=10) == []
    assert not handle.is_alive()
    process.communicate()


def test_stubborn_process_is_killed() -> None:
    process, handle = spawn(STUBBORN)
    assert stop_all([handle], timeout=0.2) == [handle]
    assert not handle.is_alive()
    process.communicate()


def test_children_left_in_the_session_are_killed_too() -> None:
    start = f"c = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])"
    code = f"import subprocess, sys; {start}; c.wait()"
    process, handle = spawn(code)
    children = Path(f"/proc/{handle.pid}/task/{handle.pid}/children").read_text().split()
    child = ProcessHandle.of(int(children[0]))
    assert child is not None
    stop_all([handle], first=signal.SIGTERM, timeout=5)
    assert not child.is_alive()
    process.communicate()


def test_waiting_for_death_ends_when_time_is_up() -> None:
    mine = ProcessHandle.of(os.getpid())
    assert mine is not None
    assert not wait_until_dead(mine, 0.05)


def test_secret_is_generated_once_and_private(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets.json")
    first = store.get("a")
    assert len(first) == 64
    assert store.get("a") == first == SecretStore(store.path).get("a")
    assert store.get("b") != first
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets.json")
    store.get("a")
    store.path.chmod(0o644)
    with pytest.raises(StateDirectoryError, match="chmod 600"):
        store.get("a")


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    write_private(tmp_path / "secrets.json", "{")
    with pytest.raises(StateDirectoryError, match="damaged"):
        SecretStore(tmp_path / "secrets.json").get("a")
    assert (tmp_path / "secrets.json").read_text() == "{"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = tmp_path / "r"
    base.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    monkeypatch.setattr("deploy.local.sockets._fits", lambda _: True)
    return base


def test_socket_folder_is_private_and_stays_the_same(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_socket_directory(tmp_path)
    assert folder.parent == runtime
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert socket_directory(tmp_path) == folder


def test_socket_folder_open_to_others_is_refused(tmp_path: Path, runtime: Path) -> None:
    make_socket_directory(tmp_path).chmod(0o755)
    with pytest.raises(StateDirectoryError, match="open to others"):
        make_socket_directory(tmp_path)


def test_link_in_place_of_the_socket_folder_is_refused(tmp_path: Path, runtime: Path) -> None:
    folder = make_socket_directory(tmp_path)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(StateDirectoryError, match="belongs to someone else"):
        make_socket_directory(tmp_path)


def test_socket_path_fits_however_deep_the_state_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    folder = make_socket_directory(deep)
    try:
        assert len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
    finally:
        remove_socket_directory(deep)
    assert not folder.exists()


def test_port_in_use_names_port_owner_and_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert listener_pid(port) == os.getpid()
        with pytest.raises(PortInUseError) as caught:
            require_free_port("127.0.0.1", port, "AGENTCORE_API_PORT")
    for part in (str(port), str(os.getpid()), "AGENTCORE_API_PORT"):
        assert part in str(caught.value)
    require_free_port("127.0.0.1", port, "AGENTCORE_API_PORT")
    assert listener_pid(port) is None


def supervisor_and_spec(tmp_path: Path, code: str) -> tuple[Supervisor, ProcessSpec]:
    spec = ProcessSpec(name="x", argv=(sys.executable, "-c", code), environment=dict(os.environ))
    return Supervisor(tmp_path, cwd=tmp_path), spec


def test_process_is_started_once_and_again_after_its_death(tmp_path: Path) -> None:
    supervisor, spec = supervisor_and_spec(tmp_path, "import signal; signal.pause()")
    assert supervisor.start(spec)
    assert not supervisor.start(spec)
    first = supervisor.handle_of("x")
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    assert wait_until_dead(first, 10)
    assert supervisor.status("x").state == "dead"
    assert supervisor.start(spec)
    assert supervisor.status("x").state == "running"
    assert supervisor.stop(["x", "unknown"]) == ["x"]
    assert supervisor.stop(["x"]) == []
    assert supervisor.status("x").state == "stopped"


def test_another_supervisor_finds_the_same_process(tmp_path: Path) -> None:
    supervisor, spec = supervisor_and_spec(tmp_path, "import signal; signal.pause()")
    supervisor.start(spec)
    try:
        again = Supervisor(tmp_path, cwd=tmp_path)
        assert again.handle_of("x") == supervisor.handle_of("x")
    finally:
        supervisor.stop(["x"])


def test_how_long_a_process_may_take_to_stop_is_known_to_another_supervisor(tmp_path: Path) -> None:
    supervisor, spec = supervisor_and_spec(tmp_path, "import signal; signal.pause()")
    again = Supervisor(tmp_path, cwd=tmp_path)
    assert again.stop_seconds(["x"], unrecorded=7) == 0
    supervisor.start(replace(spec, stop_seconds=300))
    supervisor.start(replace(spec, name="y", stop_seconds=40))
    try:
        assert again.stop_seconds(["x", "y", "unknown"], unrecorded=7) == 300
        assert again.stop_seconds(["y"], unrecorded=7) == 40
        # What runs is not started again, and keeps the time it was started with.
        supervisor.start(replace(spec, stop_seconds=1))
        assert again.stop_seconds(["x"], unrecorded=7) == 300
    finally:
        supervisor.stop(["x", "y"])
    assert again.stop_seconds(["x", "y"], unrecorded=7) == 0


def test_record_of_before_says_who_runs_but_not_how_long_it_may_take(tmp_path: Path) -> None:
    supervisor, spec = supervisor_and_spec(tmp_path, "import signal; signal.pause()")
    supervisor.start(spec)
    record = tmp_path / "run" / "x.json"
    old = json.loads(record.read_text())
    del old["stop_seconds"]
    record.write_text(json.dumps(old))
    assert supervisor.stop_seconds(["x"], unrecorded=7) == 7
    assert supervisor.stop(["x"]) == ["x"]


def test_process_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    supervisor, spec = supervisor_and_spec(tmp_path, "raise SystemExit('no such table')")
    with pytest.raises(ServiceStartError, match="no such table"):
        supervisor.run_to_end(spec, timeout=30)
    assert supervisor.log_of("x").stat().st_mode & 0o077 == 0


def test_too_little_room_stops_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "MINIMUM_FREE_BYTES", 1 << 62)
    stack = LocalStack(tmp_path, environ={})
    with pytest.raises(DiskFullError, match="AGENTCORE_STATE_DIR"):
        stack.up(lambda _: None)
    assert [part.state for part in stack.status()] == ["stopped"] * 7


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "80.5"])
def test_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    with pytest.raises(ServiceStartError, match="AGENTCORE_API_PORT"):
        _ = LocalStack(tmp_path, environ={"AGENTCORE_API_PORT": port}).api_port


def test_servers_that_are_set_are_not_embedded(tmp_path: Path) -> None:
    given = {
        "AGENTCORE_DATABASE_URL": "postgresql://app@db.example/agentcore",
        "AGENTCORE_DATABASE_OWNER_URL": "postgresql://owner@db.example/agentcore",
        "AGENTCORE_BROKER_URL_FILE": "/secrets/broker",
    }
    stack = LocalStack(tmp_path, environ=given)
    assert stack.services.postgres is None
    assert stack.services.valkey is None
    environment = stack.environment()
    assert environment["AGENTCORE_DATABASE_URL"] == given["AGENTCORE_DATABASE_URL"]
    assert "AGENTCORE_BROKER_URL" not in environment
    assert "AGENTCORE_DATABASE_OWNER_URL" not in environment
    assert "AGENTCORE_DATABASE_OWNER_URL" in stack.environment(owner=True)


def test_stopping_what_does_not_run_tells_of_no_wait(tmp_path: Path, runtime: Path) -> None:
    said: list[str] = []
    LocalStack(tmp_path, environ={}).down(said.append)
    assert said == ["stopping PostgreSQL and Valkey"]


def test_asking_for_addresses_makes_no_folder(tmp_path: Path, runtime: Path) -> None:
    assert str(runtime) in LocalStack(tmp_path, environ={}).environment()["AGENTCORE_DATABASE_URL"]
    assert list(runtime.iterdir()) == []
