"""The real process and the system's resolver, against a name server that changes its mind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT, missing
from tests.integration.egress import namespace_scene as scene

DENIED = "HTTP/1.1 403 Denied: address_not_allowed"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What came of each case."""
    apart = ["unshare", "--mount", "--net", "--propagation", "private"]
    try:
        subprocess.run([*apart, "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        missing("no rights to make namespaces (run as root)")
    directory: Path = tmp_path_factory.mktemp("scene")
    done = subprocess.run(
        [*apart, sys.executable, "-m", scene.__name__, str(directory)],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_address_that_was_judged_is_the_one_that_is_dialled(found: dict[str, object]) -> None:
    assert found["rebind.test 1"] == scene.PUBLIC
    # One look-up for each of three requests: nothing was looked up again to dial it.
    assert found["lookups of the first"] == 3


def test_a_name_that_has_become_ours_is_refused(found: dict[str, object]) -> None:
    assert found["rebind.test 2"] == found["rebind.test 3"] == DENIED


@pytest.mark.parametrize(
    "name",
    [
        "both.test",
        "loop.test",
        "zero.test",
        "six-loop.test",
        "mapped.test",
        "private.test",
        "metadata.test",
        "metadata-six.test",
        "nat64.test",
        "metadata.test, opened",
        scene.PUBLIC,
    ],
)
def test_an_allowed_name_does_not_open_such_an_address(found: dict[str, object], name: str) -> None:
    assert found[name] == DENIED


def test_a_public_address_is_reached_over_both_protocols(found: dict[str, object]) -> None:
    assert found["public.test"] == scene.PUBLIC
    assert found["six.test"] == scene.PUBLIC_6


def test_a_private_address_is_reached_where_a_rule_opens_it(found: dict[str, object]) -> None:
    assert found["private.test, opened"] == scene.PRIVATE


def test_a_silent_name_server_holds_up_nobody_else(found: dict[str, object]) -> None:
    assert found["silent.test"] in (
        "HTTP/1.1 502 Bad Gateway: unresolvable",
        "HTTP/1.1 504 Gateway Timeout: resolve_timeout",
        "HTTP/1.1 502 Bad Gateway: unresolvable / HTTP/1.1 504 Gateway Timeout: resolve_timeout",
    )
    assert found["meanwhile"] is True
    assert found["unknown.test"] == "HTTP/1.1 502 Bad Gateway: unresolvable"


def test_nothing_but_the_public_addresses_was_dialled(found: dict[str, object]) -> None:
    assert found["addresses"] == sorted([scene.PUBLIC, scene.PUBLIC_6, "None"])


def test_no_other_name_is_looked_up_than_the_one_that_was_judged(found: dict[str, object]) -> None:
    assert found["searched"] == []
    for name in ("secret", "secret, alone"):
        assert found[name] == "HTTP/1.1 502 Bad Gateway: unresolvable"
    for name in ("single", "single, alone"):
        assert found[name] == scene.PUBLIC


def test_names_of_the_hosts_file_are_known(found: dict[str, object]) -> None:
    assert found["in-file"] == found["in-file, alone"] == scene.PUBLIC
