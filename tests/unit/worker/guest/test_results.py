"""The result that a run leaves: taken once, and only as a plain file."""

import os
import threading

import pytest

from worker.sandbox.guest import results


@pytest.fixture
def output(tmp_path, monkeypatch):
    """The output folder of a workspace."""
    monkeypatch.setattr(results, "WORKSPACE", str(tmp_path))
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 5000])
def test_a_result_is_read_and_gone(output, content):
    (output / "result.json").write_bytes(content)
    assert results.take(10_000) == content
    assert results.take(10_000) is None
    assert list(output.iterdir()) == []


def test_no_more_is_read_than_was_asked_for(output):
    (output / "result.json").write_bytes(b"x" * 5000)
    assert results.take(4097) == b"x" * 4097


def test_links_are_no_results_and_do_not_stay(output, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    for make in (os.symlink, os.link):
        make(secret, output / "result.json")
        assert results.take(100) is None
        assert list(output.iterdir()) == []
    (output / "result.json").symlink_to("nowhere")
    assert results.take(100) is None
    assert list(output.iterdir()) == []


def test_a_pipe_is_no_result_and_nobody_waits_for_it(output):
    os.mkfifo(output / "result.json")
    taken = []
    reader = threading.Thread(target=lambda: taken.append(results.take(100)), daemon=True)
    reader.start()
    reader.join(10)
    assert taken == [None]
    assert list(output.iterdir()) == []


def test_a_folder_is_no_result(output):
    (output / "result.json").mkdir()
    assert results.take(100) is None


@pytest.mark.parametrize("place", ["gone", "a link", "a file"])
def test_without_an_output_folder_there_is_no_result(output, tmp_path, place):
    output.rmdir()
    if place == "a link":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "result.json").write_text("1")
        output.symlink_to(elsewhere)
    if place == "a file":
        output.write_text("x")
    assert results.take(100) is None
