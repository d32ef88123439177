"""AppArmor text: what it says, and that the real parser takes it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from security_profiles import PROFILE_NAMES, UnknownProfileError, get_profile, render_apparmor
from tests.harness import missing


def lines(name: str) -> set[str]:
    return {line.strip() for line in render_apparmor(name).splitlines()}


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_profile_has_its_name_and_flags(name: str) -> None:
    kernel_name = get_profile(name).apparmor_profile
    assert f"profile {kernel_name} flags=(attach_disconnected,mediate_deleted) {{" in lines(name)
    assert "#include <abstractions/base>" in lines(name)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_ways_out_are_denied(name: str) -> None:
    assert lines(name) >= {
        "deny capability sys_admin,",
        "deny capability sys_boot,",
        "deny capability sys_module,",
        "deny capability sys_chroot,",
        "deny mount,",
        "deny umount,",
        "deny pivot_root,",
        "deny @{PROC}/sys/** wklx,",
        "deny /sys/** wklx,",
    }


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_scratch_is_writable_and_the_image_is_not(name: str) -> None:
    assert lines(name) >= {"/tmp/** rwkl,", "/workspace/** rwkl,", "/app/** r,", "/usr/** mrix,"}


def test_only_profiles_with_a_network_have_tcp() -> None:
    tcp = {"network inet stream,", "network inet6 stream,"}
    assert not any(line.startswith("network") for line in lines("minimal"))
    assert {line for line in lines("standard") if line.startswith("network")} == tcp


def test_capabilities_are_those_of_the_profile() -> None:
    def granted(name: str) -> set[str]:
        found = (line for line in lines(name) if line.startswith("capability "))
        return {line.removeprefix("capability ").rstrip(",").upper() for line in found}

    assert granted("minimal") == set()
    assert granted("standard") == set(get_profile("standard").allowed_capabilities)


def test_unknown_profile_is_refused() -> None:
    with pytest.raises(UnknownProfileError):
        render_apparmor("unconfined")


@pytest.fixture(scope="module")
def parser() -> str:
    found = shutil.which("apparmor_parser") or shutil.which(
        "apparmor_parser", path="/usr/sbin:/sbin"
    )
    if found:
        return found
    missing("apparmor_parser is not here: apt-get install apparmor")


def parse(parser: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "profile"
    file.write_text(text)
    command = [parser, "--skip-kernel-load", "--skip-cache", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_parser_accepts_the_text(parser: str, name: str, tmp_path: Path) -> None:
    result = parse(parser, render_apparmor(name), tmp_path)
    assert result.returncode == 0, result.stderr


def test_parser_refuses_a_broken_text(parser: str, tmp_path: Path) -> None:
    broken = render_apparmor("minimal").replace("deny mount,", "deny mount")
    assert parse(parser, broken, tmp_path).returncode != 0
