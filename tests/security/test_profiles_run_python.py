"""Ordinary Python programs run under every profile, in real containers.

numpy, pandas and requests are not in the sandbox image and cannot be had without a network:
`trace_syscalls.py` runs them under strace instead and compares their calls with the profiles.
"""

from functools import cache
from typing import Any

import docker
import pytest

from security_profiles import PROFILE_NAMES
from tests.security.profile_sandbox import run_program
from tests.security.programs import ordinary


@pytest.fixture(scope="module")
def outcomes(sandbox_image: str) -> Any:
    client = docker.from_env()
    yield cache(lambda profile: run_program(client, sandbox_image, profile, "ordinary"))
    client.close()


CASES, STANDARD_CASES = list(ordinary.CASES), list(ordinary.STANDARD_CASES)
REPEATED = [function.__name__ for function in ordinary.REPEATED]


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("case", CASES)
def test_ordinary_program_runs(outcomes: Any, profile: str, case: str) -> None:
    assert outcomes(profile)["once"][case] == ""


@pytest.mark.parametrize("profile", ["standard", "privileged"])
@pytest.mark.parametrize("case", STANDARD_CASES)
def test_program_that_needs_standard_runs(outcomes: Any, profile: str, case: str) -> None:
    assert outcomes(profile)["once"][case] == ""


@pytest.mark.parametrize("case", ["loopback_tcp", "ipv6_socket", "unix_socket_passes_a_descriptor"])
def test_minimal_refuses_a_program_with_sockets(outcomes: Any, case: str) -> None:
    assert "PermissionError" in outcomes("minimal")["once"][case]


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("case", REPEATED)
def test_program_runs_many_times_in_one_process(outcomes: Any, profile: str, case: str) -> None:
    assert outcomes(profile)["repeated"][case] == []


def test_every_case_was_run(outcomes: Any) -> None:
    assert set(outcomes("standard")["once"]) == {*CASES, *STANDARD_CASES}
    assert set(outcomes("standard")["repeated"]) == set(REPEATED) < set(CASES)
    assert len(CASES) >= 20
