"""Artifacts have names and content of a hostile program's choice."""

import hashlib
import os

import httpx
import pytest
from agentcore_client import ArtifactRefusedError
from agentcore_client.downloads import save
from agentcore_client.safe_paths import checked_parts

HOSTILE = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "a//b",
    ".",
    "",
    "a/",
    "a\x00b",
    "a\nb",
    "\x1b[31m",
    "txt.\u202egpj",
    "\udcff",
    "x" * 256,
    "a/" * 40 + "b",
]


def listed(path, data):
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_and_shown_in_ascii(name):
    with pytest.raises(ArtifactRefusedError) as caught:
        checked_parts(name)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_writes_nothing(tmp_path, name):
    with pytest.raises(ArtifactRefusedError):
        save(tmp_path / "out", name, b"x")
    assert list(tmp_path.iterdir()) == []


def test_files_are_saved_in_folders(tmp_path):
    place = save(tmp_path / "new" / "out", "a/b/c.txt", b"hello")
    assert place.read_bytes() == b"hello"
    assert place.stat().st_mode & 0o111 == 0  # never executable


def test_a_link_in_the_way_is_not_followed(tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "a").symlink_to(outside)
    with pytest.raises(ArtifactRefusedError):
        save(out, "a/x", b"x", overwrite=True)
    assert list(outside.iterdir()) == []


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("keep")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").symlink_to(target)
    with pytest.raises(ArtifactRefusedError):
        save(tmp_path / "out", "x", b"evil")
    place = save(tmp_path / "out", "x", b"new", overwrite=True)
    assert target.read_text() == "keep"
    assert not place.is_symlink()
    assert place.read_bytes() == b"new"


def test_an_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path):
    save(tmp_path, "x", b"old")
    with pytest.raises(ArtifactRefusedError, match="exists already"):
        save(tmp_path, "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    save(tmp_path, "x", b"new", overwrite=True)
    assert (tmp_path / "x").read_bytes() == b"new"


def test_a_pipe_in_place_of_the_file_is_not_written_to(tmp_path):
    os.mkfifo(tmp_path / "x")
    save(tmp_path, "x", b"new", overwrite=True)
    assert (tmp_path / "x").is_file()


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(ArtifactRefusedError):
        save(tmp_path, "x", b"new", overwrite=True)


def test_download_saves_all_and_quotes_names(api, client, ended, path, tmp_path):
    data = {"a b/ü?.txt": b"1", "c#d%2e": b"22"}
    items = [listed(name, content) for name, content in data.items()]
    api.answer("GET", path("artifacts"), {"items": items})
    api.answer("GET", path("artifacts", "a%20b/%C3%BC%3F.txt"), httpx.Response(200, content=b"1"))
    api.answer("GET", path("artifacts", "c%23d%252e"), httpx.Response(200, content=b"22"))
    places = client.download(ended()["id"], tmp_path)
    assert {str(p.relative_to(tmp_path)): p.read_bytes() for p in places} == data


def test_one_hostile_name_stops_the_download_before_anything_is_written(
    api, client, ended, path, tmp_path
):
    items = [listed("good", b"1"), listed("../bad", b"1")]
    api.answer("GET", path("artifacts"), {"items": items})
    with pytest.raises(ArtifactRefusedError, match=r"\.\./bad"):
        client.download(ended()["id"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"12", b"2"])
def test_content_that_does_not_match_its_hash_is_refused(
    api, client, ended, path, tmp_path, content
):
    api.answer("GET", path("artifacts"), {"items": [listed("x", b"1")]})
    api.answer("GET", path("artifacts", "x"), httpx.Response(200, content=content))
    with pytest.raises(ArtifactRefusedError, match="SHA-256"):
        client.download(ended()["id"], tmp_path)
    assert list(tmp_path.glob("x")) == []
