"""AppArmor text: what it says, and that the real parser takes it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from security_profiles import (
    CAPABILITY_BITS,
    DANGEROUS_CAPABILITIES,
    PROFILE_NAMES,
    UnknownProfileError,
    apparmor_kernel_name,
    get_profile,
    render_apparmor,
)
from tests.harness import missing


def lines(name: str) -> set[str]:
    return {line.strip() for line in render_apparmor(name).splitlines()}


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_profile_has_its_name_and_flags(name: str) -> None:
    kernel_name = apparmor_kernel_name(name, get_profile(name).apparmor_profile)
    assert kernel_name == f"agentcore-{name}"
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


def test_relaxed_text_keeps_every_denial_of_standard() -> None:
    denials = {line for line in lines("standard") if line.startswith("deny ")}
    assert len(denials) >= 16
    assert denials <= lines("privileged")


@pytest.mark.parametrize(
    ("profile", "chosen"),
    [
        ("minimal", "agentcore-minimal"),
        ("standard", "agentcore-standard"),
        ("standard", "agentcore-minimal"),
        ("privileged", "agentcore-minimal"),
        ("privileged", "docker-default"),
        ("privileged", "unconfined"),
    ],
)
def test_chosen_profile_keeps_its_name(profile: str, chosen: str) -> None:
    assert apparmor_kernel_name(profile, chosen) == chosen


def test_standard_is_relaxed_for_privileged() -> None:
    assert apparmor_kernel_name("privileged", "agentcore-standard") == "agentcore-privileged"


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_scratch_is_writable_and_the_image_can_be_read(name: str) -> None:
    assert lines(name) >= {"/tmp/** rwkl,", "/workspace/** rwkl,", "/app/** r,", "/usr/** mrix,"}


def test_only_privileged_writes_and_runs_anything_in_its_root() -> None:
    for name in PROFILE_NAMES:
        relaxed = {"/** rwklm,", "/** ix,"} <= lines(name)
        assert relaxed == (not get_profile(name).read_only_filesystem) == (name == "privileged")


def test_only_profiles_with_a_network_have_tcp() -> None:
    def network(name: str) -> set[str]:
        return {line for line in lines(name) if line.startswith("network")}

    tcp = {"network inet stream,", "network inet6 stream,"}
    assert network("minimal") == set()
    assert network("standard") == tcp
    assert network("privileged") == tcp | {"network inet dgram,", "network inet6 dgram,"}


def test_capabilities_are_those_of_the_profile() -> None:
    def granted(name: str) -> set[str]:
        found = (line for line in lines(name) if line.startswith("capability "))
        return {line.removeprefix("capability ").rstrip(",").upper() for line in found}

    assert granted("minimal") == set()
    assert granted("standard") == set(get_profile("standard").allowed_capabilities)
    never = DANGEROUS_CAPABILITIES.keys() | {"SYS_CHROOT"}
    assert granted("privileged") == CAPABILITY_BITS.keys() - never


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
