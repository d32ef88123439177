import tarfile
from pathlib import Path

import pytest
import RestrictedPython

from deploy.baseimage import debian_tag
from deploy.docker import prepare_rootfs
from deploy.errors import ImageError
from deploy.imagecontext import content_hash, sandbox_context, tar_of
from deploy.images import raise_on_error

FILES = {"sandbox.Dockerfile": b"FROM scratch\n", "guest/__main__.py": b"print()\n"}


def test_hash_changes_with_content_name_and_base() -> None:
    start = content_hash(FILES, "sha256:a")
    assert start == content_hash(dict(reversed(FILES.items())), "sha256:a")
    assert start != content_hash(FILES, "sha256:b")
    assert start != content_hash(FILES | {"guest/__main__.py": b"print(1)\n"}, "sha256:a")
    assert start != content_hash(FILES | {"guest/new.py": b""}, "sha256:a")


def test_hash_keeps_name_and_content_apart() -> None:
    assert content_hash({"ab": b"c"}, "") != content_hash({"a": b"bc"}, "")


def test_context_holds_recipe_and_guest_only() -> None:
    names = set(sandbox_context())
    assert {"sandbox.Dockerfile", "prepare_rootfs.py", "guest/__main__.py"} <= names
    others = {"sandbox.Dockerfile", "vendor/RestrictedPython/LICENSE.txt"}
    assert all(name.endswith(".py") for name in names - others)


def test_context_holds_the_policys_package_as_it_is_installed() -> None:
    context = sandbox_context()
    folder = Path(RestrictedPython.__file__).parent
    installed = {f"vendor/RestrictedPython/{path.name}": path for path in folder.glob("*.py")}
    held = {name for name in context if name.startswith("vendor/") and name.endswith(".py")}
    assert held == set(installed)
    assert all(context[name] == path.read_bytes() for name, path in installed.items())
    assert b"License" in context["vendor/RestrictedPython/LICENSE.txt"]


def test_a_missing_package_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.imagecontext.POLICY_PACKAGE", "no-such-package")
    with pytest.raises(ImageError, match="make bootstrap"):
        sandbox_context()


def test_context_tar_does_not_depend_on_this_machine() -> None:
    first, second = tar_of(FILES).getvalue(), tar_of(dict(reversed(FILES.items()))).getvalue()
    assert first == second
    with tarfile.open(fileobj=tar_of(FILES)) as archive:
        assert {(entry.uid, entry.mtime, entry.mode) for entry in archive} == {(0, 0, 0o644)}


def test_dockerfile_runs_nothing_through_a_shell() -> None:
    lines = sandbox_context()["sandbox.Dockerfile"].decode().splitlines()
    forms = [
        line.split(None, 1)[1] for line in lines if line.split()[:1] in (["RUN"], ["ENTRYPOINT"])
    ]
    assert forms
    assert all(form.startswith("[") for form in forms)


def test_dockerfile_ends_without_root() -> None:
    lines = sandbox_context()["sandbox.Dockerfile"].decode().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]


def test_base_is_named_after_the_distribution() -> None:
    assert debian_tag({"ID": "debian", "VERSION_ID": "12"}) == "agentcore/base:debian-12"


def test_removal_takes_files_folders_and_dangling_links(tmp_path: Path) -> None:
    (tmp_path / "doc/deep").mkdir(parents=True)
    (tmp_path / "kept").touch()
    (tmp_path / "link").symlink_to("nowhere")
    prepare_rootfs.remove(tmp_path, ("doc", "lin*", "missing"))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_removal_does_not_follow_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target/kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    prepare_rootfs.remove(tmp_path, ("link",))
    assert (tmp_path / "target/kept").exists()


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o666])
def test_special_modes_are_dropped(tmp_path: Path, mode: int) -> None:
    program = tmp_path / "program"
    program.touch()
    program.chmod(mode)
    prepare_rootfs.drop_special_modes(tmp_path)
    assert program.stat().st_mode & 0o6002 == 0
    assert program.stat().st_mode & 0o770 == mode & 0o770


def test_a_failed_build_is_told_with_what_its_program_said_last() -> None:
    lines = [
        {"stream": "Step 1/1 : RUN x"},
        {"stream": "\x1b[91mno such package\n\x1b[0m"},
        {"stream": "\x1b[0m"},
        {"stream": "Removing intermediate container 1"},
        {"error": "returned a non-zero code: 1"},
    ]
    with pytest.raises(ImageError, match=r"non-zero code: 1 \(no such package\)$"):
        raise_on_error(lines)
