"""What a hostile program leaves in its output folder, on a real file system."""

import json
import os
import shutil
import socket
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.sandbox.collector import Collector
from worker.sandbox.guest import artifacts, protocol
from worker.sandbox.report import ExitReport, parse

CAPS = {"count": 10, "bytes": 1000, "total_bytes": 3000, "depth": 3}
ORDINARY_USER = 65_534  # nobody; any user without privileges will do


@pytest.fixture
def output(tmp_path, monkeypatch):
    """The output folder of a workspace."""
    monkeypatch.setattr(artifacts, "WORKSPACE", tmp_path)
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


@pytest.fixture
def collect(wire, make_spec):
    """Return a function that collects, and gives the worker's view and the report."""

    def run(**changes):
        report = artifacts.collect(wire.channel, CAPS | changes)
        # The report travels in one EXIT frame beside some numbers.
        assert len(json.dumps(report).encode()) < protocol.MAX_GUEST_FRAME - 1000
        collector = Collector(make_spec())
        for frame in wire.frames():
            collector.take(*frame)
        return {item.path: item.content for item in collector.artifacts}, report

    return run


@contextmanager
def ordinary_user():
    """Read the folders as the sandbox does: without the privileges of root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(ORDINARY_USER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def own_output(monkeypatch):
    """The output folder of a workspace that an ordinary user owns."""
    workspace = Path(tempfile.mkdtemp(prefix="unit-output-"))
    monkeypatch.setattr(artifacts, "WORKSPACE", workspace)
    folder = workspace / "output"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(workspace, ORDINARY_USER, -1)
        os.chown(folder, ORDINARY_USER, -1)
    yield folder
    for path in (folder, *folder.glob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(workspace)


def why(report):
    return {item["path"]: item["why"] for item in report["skipped"]}


# --- What is taken ---------------------------------------------------------------------------


def test_files_are_taken_with_their_folders(output, collect):
    (output / "a.txt").write_bytes(b"one")
    (output / "sub" / "deep").mkdir(parents=True)
    (output / "sub" / "deep" / "é b.bin").write_bytes(b"\x00\xff")
    (output / "empty").touch()
    found, report = collect()
    assert found == {"a.txt": b"one", "sub/deep/é b.bin": b"\x00\xff", "empty": b""}
    assert report == {"skipped": [], "skipped_count": 0}


def test_an_empty_output_is_no_artifact(output, collect):
    assert collect() == ({}, {"skipped": [], "skipped_count": 0})


def test_a_large_file_comes_whole(output, collect):
    data = os.urandom(5 * protocol.MAX_GUEST_FRAME + 17)
    (output / "large").write_bytes(data)
    found, _ = collect(bytes=len(data), total_bytes=len(data))
    assert found == {"large": data}


def test_a_sparse_file_is_its_zeros(output, collect):
    with (output / "sparse").open("wb") as file:
        file.truncate(900)
    found, _ = collect()
    assert found == {"sparse": bytes(900)}


# --- What is refused -------------------------------------------------------------------------


def test_links_are_never_followed(output, collect, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"hunter2")
    (output / "file").symlink_to(secret / "key")
    (output / "folder").symlink_to(secret)
    (output / "up").symlink_to("..")
    (output / "loop").symlink_to("loop")
    (output / "dangling").symlink_to("nowhere")
    (output / "proc").symlink_to("/proc/self/environ")
    found, report = collect()
    assert found == {}
    assert set(why(report)) == {"file", "folder", "up", "loop", "dangling", "proc"}
    assert report["skipped_count"] == 6
    assert set(why(report).values()) == {"not a regular file"}


def test_an_output_that_is_a_link_is_not_entered(tmp_path, monkeypatch, collect):
    monkeypatch.setattr(artifacts, "WORKSPACE", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "key").write_bytes(b"hunter2")
    (tmp_path / "output").symlink_to("elsewhere")
    found, report = collect()
    assert found == {}
    assert report["skipped_count"] == 1


@pytest.mark.parametrize("kind", ["missing", "file", "fifo", "dangling"])
def test_an_output_that_is_no_folder_is_reported(tmp_path, monkeypatch, collect, kind):
    monkeypatch.setattr(artifacts, "WORKSPACE", tmp_path)
    path = tmp_path / "output"
    make = {
        "missing": lambda: None,
        "file": path.touch,
        "fifo": lambda: os.mkfifo(path),
        "dangling": lambda: path.symlink_to("nowhere"),
    }
    make[kind]()
    found, report = collect()
    assert found == {}
    assert report["skipped_count"] == 1


def test_pipes_sockets_and_devices_are_refused_without_waiting(output, collect):
    os.mkfifo(output / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fsencode(output / "socket"))
        expected = {"fifo", "socket"}
        if os.geteuid() == 0:
            try:
                os.mknod(output / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
                expected.add("device")
            except PermissionError:
                pass  # in a container without the capability
        found, report = collect()
    assert found == {}
    assert set(why(report)) == expected


def test_hard_links_are_refused(output, collect, tmp_path):
    (tmp_path / "outside").write_bytes(b"x")
    os.link(tmp_path / "outside", output / "inside")
    found, report = collect()
    assert found == {}
    assert why(report) == {"inside": "a hard link"}


def test_a_file_over_its_cap_is_refused_by_its_size_alone(output, collect):
    with (output / "huge").open("wb") as file:
        file.truncate(2**40)
    (output / "small").write_bytes(b"x")
    found, report = collect()
    assert found == {"small": b"x"}
    assert set(why(report)) == {"huge"}


def test_a_file_of_exactly_the_cap_is_taken(output, collect):
    (output / "a").write_bytes(b"x" * CAPS["bytes"])
    (output / "b").write_bytes(b"x" * (CAPS["bytes"] + 1))
    found, report = collect()
    assert set(found) == {"a"}
    assert set(why(report)) == {"b"}


def test_files_over_the_cap_together_are_left_out_and_smaller_ones_still_fit(output, collect):
    for name in "abcd":
        (output / name).write_bytes(b"x" * 900)
    (output / "e").write_bytes(b"x" * 300)
    found, report = collect()
    assert set(found) == {"a", "b", "c", "e"}
    assert set(why(report)) == {"d"}


def test_more_files_than_the_cap_are_left_out_and_counted(output, collect):
    for number in range(100):
        (output / f"{number:03}").touch()
    found, report = collect()
    assert len(found) == CAPS["count"]
    assert report["skipped_count"] == 90
    assert len(report["skipped"]) == artifacts.MAX_SKIPPED


def test_folders_below_the_cap_are_not_entered(output, collect):
    deepest = output.joinpath(*["d"] * 3)
    (deepest / "d").mkdir(parents=True)
    (deepest / "in").write_bytes(b"x")
    (deepest / "d" / "out").write_bytes(b"x")
    found, report = collect()
    assert set(found) == {"d/d/d/in"}
    assert report["skipped_count"] == 1


def test_folders_far_deeper_than_a_path_may_be_long_are_no_trouble(output, collect):
    here = os.open(output, os.O_RDONLY)
    for _ in range(250):  # 5250 bytes; PATH_MAX is 4096
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    found, report = collect()
    assert found == {}
    assert report["skipped_count"] == 1


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe", b"a\nb", b"a\x1b[31m", b"\x7f", "a\u202eb".encode(), "\u2028".encode(),
     "\u00a0".encode(), b"\xed\xa0\x80"],
)  # fmt: skip
def test_a_name_that_cannot_be_shown_is_refused(output, collect, name):
    (output / os.fsdecode(name)).write_bytes(b"x")
    found, report = collect()
    assert found == {}
    assert report["skipped_count"] == 1
    json.dumps(report, ensure_ascii=False).encode()


def test_a_folder_of_a_name_that_cannot_be_shown_is_refused_with_its_files(output, collect):
    folder = output / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "plain").write_bytes(b"x")
    found, report = collect()
    assert found == {}
    assert report["skipped_count"] == 1


def test_a_path_over_255_bytes_is_refused(output, collect):
    folder = output / ("é" * 100)
    folder.mkdir()
    (folder / ("x" * 54)).write_bytes(b"1")
    (folder / ("x" * 55)).write_bytes(b"1")
    found, report = collect()
    assert [len(path.encode()) for path in found] == [255]
    assert report["skipped_count"] == 1


def test_the_longest_report_fits_into_one_frame(output, collect):
    deep = output.joinpath(*["\U0001f600" * 63] * 3)
    deep.mkdir(parents=True)
    for number in range(60):
        (deep / (f"{number:02}" + "\U0001f600" * 60)).symlink_to("x")
    found, report = collect(depth=8)
    assert found == {}
    assert len(report["skipped"]) == artifacts.MAX_SKIPPED
    exit_frame = json.dumps(report | dict.fromkeys(range(12), 2**62)).encode()
    assert len(exit_frame) <= protocol.MAX_GUEST_FRAME
    assert parse(ExitReport, exit_frame).skipped_count == 60


# --- What cannot be read ---------------------------------------------------------------------


def test_a_file_without_permission_is_reported(own_output, collect):
    with ordinary_user():
        (own_output / "closed").write_bytes(b"x")
        (own_output / "closed").chmod(0)
        (own_output / "open").write_bytes(b"y")
        found, report = collect()
    assert found == {"open": b"y"}
    assert set(why(report)) == {"closed"}


def test_a_folder_without_permission_is_reported(own_output, collect):
    with ordinary_user():
        (own_output / "sub").mkdir()
        (own_output / "sub" / "file").write_bytes(b"x")
        (own_output / "sub").chmod(0)
        (own_output / "open").write_bytes(b"y")
        found, report = collect()
    assert found == {"open": b"y"}
    assert report["skipped_count"] == 1


def test_a_folder_that_may_be_listed_but_not_entered_is_reported(own_output, collect):
    with ordinary_user():
        (own_output / "sub").mkdir()
        (own_output / "sub" / "file").write_bytes(b"x")
        (own_output / "sub").chmod(0o400)
        (own_output / "open").write_bytes(b"y")
        found, report = collect()
    assert found == {"open": b"y"}
    assert report["skipped_count"] == 1


@pytest.mark.parametrize("mode", [0, 0o100, 0o400])
def test_an_output_without_permission_is_reported(own_output, collect, mode):
    with ordinary_user():
        (own_output / "file").write_bytes(b"x")
        own_output.chmod(mode)
        found, report = collect()
    assert found == {}
    assert report["skipped_count"] == 1
