"""Ordinary Python programs run under every profile, in real containers."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import docker
import pytest

from security_profiles import PROFILE_NAMES
from tests.security.profile_sandbox import PROGRAMS, run_program


@pytest.fixture(scope="module")
def outcomes(sandbox_image: str) -> Any:
    client = docker.from_env()
    yield cache(lambda profile: run_program(client, sandbox_image, profile, "ordinary"))
    client.close()


def _cases(decorator: str) -> list[str]:
    lines = Path(PROGRAMS / "ordinary.py").read_text().splitlines()
    return [
        following.removeprefix("def ").split("(")[0]
        for line, following in pairwise(lines)
        if line == decorator
    ]


CASES, NETWORK_CASES = _cases("@case"), _cases("@network_case")


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("case", CASES)
def test_ordinary_program_runs(outcomes: Any, profile: str, case: str) -> None:
    assert outcomes(profile)[case] == ""


@pytest.mark.parametrize("profile", ["standard", "privileged"])
@pytest.mark.parametrize("case", NETWORK_CASES)
def test_program_with_sockets_runs(outcomes: Any, profile: str, case: str) -> None:
    assert outcomes(profile)[case] == ""


@pytest.mark.parametrize("case", ["loopback_tcp", "ipv6_socket", "unix_socket_passes_a_descriptor"])
def test_minimal_refuses_a_program_with_sockets(outcomes: Any, case: str) -> None:
    assert "PermissionError" in outcomes("minimal")[case]


def test_every_case_was_run(outcomes: Any) -> None:
    assert set(outcomes("standard")) == {*CASES, *NETWORK_CASES}
    assert len(CASES) >= 20
