"""Directories of gates: private to the worker, open inside, swept after a worker's death."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from worker.sandbox.egress import places
from worker.sandbox.egress.errors import SocketPathError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_gate_is_open_to_any_user_inside_a_private_directory(tmp_path):
    place = places.WorkerPlace(tmp_path / "egress")
    gate = place.directory / "gate"
    previous = os.umask(0o077)
    try:
        listener = places.listen(gate)
    finally:
        os.umask(previous)
    with listener, socket.socket(socket.AF_UNIX) as client:
        assert mode(tmp_path / "egress") == 0o700
        assert mode(place.directory) == 0o700
        assert mode(gate) == 0o755
        assert mode(gate / places.SOCKET) == 0o666
        client.connect(str(gate / places.SOCKET))
    place.close()
    assert list((tmp_path / "egress").iterdir()) == []


def test_a_gate_is_listened_at_again_in_the_same_directory(tmp_path):
    first = places.listen(tmp_path / "gate")
    inode = (tmp_path / "gate").stat().st_ino
    first.close()
    with places.listen(tmp_path / "gate"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "gate" / places.SOCKET))
    assert (tmp_path / "gate").stat().st_ino == inode


def test_a_path_too_long_for_a_socket_is_refused_in_words(tmp_path):
    longest = Path("/" + "a" * (places.MAX_SOCKET_PATH - len(places.SOCKET) - 2))
    assert len(os.fsencode(places.socket_path(longest))) == places.MAX_SOCKET_PATH
    with pytest.raises(SocketPathError, match="has 108 bytes"):
        places.socket_path(longest.with_name(longest.name + "a"))


def test_the_longest_path_that_is_let_through_can_be_listened_at():
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a test's own folder may be too deep
        room = places.MAX_SOCKET_PATH - len(places.SOCKET) - len(short) - 2
        places.listen(Path(short) / ("a" * room)).close()


def test_a_root_that_others_may_enter_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(SocketPathError, match="chmod 700"):
        places.WorkerPlace(tmp_path / "open")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(SocketPathError, match="not a directory"):
        places.WorkerPlace(tmp_path / "link")


def test_what_a_killed_worker_left_is_swept_and_what_lives_is_not(tmp_path):
    root = tmp_path / "egress"
    program = (
        "import sys; from pathlib import Path; from worker.sandbox.egress import places\n"
        f"place = places.WorkerPlace(Path({str(root)!r}))\n"
        "places.listen(place.directory / 'gate')\n"
        "print(place.directory, flush=True); sys.stdin.read()"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        dead, alive = (Path(worker.stdout.readline().decode().strip()) for worker in workers)
        assert places.sweep(root) == 0
        workers[0].kill()
        workers[0].wait()
        place = places.WorkerPlace(root)
        assert not dead.exists()
        assert (alive / "gate" / places.SOCKET).exists()
        place.close()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            worker.stdin.close()
            worker.stdout.close()


def test_a_directory_whose_lock_was_never_taken_is_swept_and_nothing_else(tmp_path):
    (tmp_path / "w-half").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "w-file").touch()
    (tmp_path / "w-link").symlink_to(tmp_path / "other")
    assert places.sweep(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"other", "w-file", "w-link"}


def test_a_cleaner_of_old_files_does_not_make_a_live_workers_place_look_abandoned(tmp_path):
    root = tmp_path / "egress"
    place = places.WorkerPlace(root)
    places.listen(place.directory / "gate").close()
    for path in root.iterdir():
        if path.is_file():
            path.unlink()
    assert places.sweep(root) == 0
    assert (place.directory / "gate" / places.SOCKET).exists()
    place.close()


def test_a_place_that_was_removed_or_replaced_is_not_there_any_more(tmp_path):
    place = places.WorkerPlace(tmp_path / "egress")
    assert place.is_there()
    place.directory.rmdir()
    assert not place.is_there()
    place.directory.mkdir()
    assert not place.is_there()
    place.close()
