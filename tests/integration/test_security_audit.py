"""The audit as an operator runs it: a real process, the real engine, real sandboxes."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import docker
import pytest

from security_profiles.files import write_rendered
from tests.harness import ROOT

# Host and engine differ from machine to machine: with both layers off, nothing of them is asked.
OFF = {"AGENTCORE_APPARMOR": "off", "AGENTCORE_USER_NAMESPACE": "off"}


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with no settings but these: no database, no broker."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AGENTCORE_")}
    return subprocess.run(
        [sys.executable, "-m", "worker", "security-audit", *words],
        cwd=ROOT, env=own | environment, capture_output=True, text=True, timeout=90,
    )  # fmt: skip


def audit(**environment: str) -> tuple[int, dict[str, Any]]:
    done = run("--json", **environment)
    told: dict[str, Any] = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    verdicts = Counter(check["verdict"] for check in checks(told).values())
    assert {name: count for name, count in told["totals"].items() if count} == verdicts
    assert done.returncode == (1 if told["totals"]["misconfigured"] else 0)
    return done.returncode, told


def checks(told: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for section in told["sections"] for check in section["checks"]}


def verdicts(told: dict[str, Any], word: str) -> dict[str, str]:
    return {name: check["verdict"] for name, check in checks(told).items() if word in name}


@pytest.fixture(scope="module")
def told(sandbox_image: str) -> dict[str, Any]:
    code, told = audit(**OFF)
    assert code == 0, [one for one in checks(told).values() if one["verdict"] == "misconfigured"]
    return told


def test_seven_sections_hold_seventeen_checks_or_more(told: dict[str, Any]) -> None:
    assert [section["number"] for section in told["sections"]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(section["checks"] for section in told["sections"])
    assert len(checks(told)) >= 17
    assert all(check["advice"] for check in checks(told).values() if check["verdict"] != "enforced")


@pytest.mark.parametrize("profile", ["minimal", "standard"])
def test_what_a_real_sandbox_has_in_force_is_told(told: dict[str, Any], profile: str) -> None:
    found = verdicts(told, f"({profile})")
    weak = {name for name, verdict in found.items() if verdict != "enforced"}
    # Off by the settings, or a kernel that counts no swap.
    assert weak - {f"memory and swap limits ({profile})"} == {
        f"AppArmor label ({profile})",
        f"user namespace ({profile})",
    }
    assert len(found) == 13


def test_privileged_is_looked_at_where_it_is_enabled(sandbox_image: str) -> None:
    profiles = '["privileged", "standard"]'
    code, told = audit(**OFF, AGENTCORE_ALLOWED_PROFILES=profiles)
    assert code == 0
    found = checks(told)
    assert found["no new privileges (privileged)"]["verdict"] == "not_enforceable"
    assert "not looked at: minimal" in found["enabled profiles"]["detail"]


@pytest.mark.parametrize(
    ("setting", "check"),
    [("APPARMOR", "AppArmor label"), ("USER_NAMESPACE", "user namespace")],
)
def test_a_required_layer_is_there_or_the_audit_fails(
    sandbox_image: str, setting: str, check: str
) -> None:
    code, told = audit(**OFF | {f"AGENTCORE_{setting}": "require"})
    found = set(verdicts(told, f"{check} (").values())
    assert found == ({"misconfigured"} if code else {"enforced"})


def test_a_world_writable_profile_directory_fails(sandbox_image: str, tmp_path: Path) -> None:
    write_rendered(tmp_path)
    tmp_path.chmod(0o777)
    code, told = audit(**OFF, AGENTCORE_PROFILE_DIRECTORY=str(tmp_path))
    assert code == 1
    found = verdicts(told, "AGENTCORE_PROFILE_DIRECTORY")
    assert found == {
        "AGENTCORE_PROFILE_DIRECTORY": "misconfigured",
        "directory (AGENTCORE_PROFILE_DIRECTORY)": "misconfigured",
        "seccomp profiles (AGENTCORE_PROFILE_DIRECTORY)": "enforced",
        "AppArmor profiles (AGENTCORE_PROFILE_DIRECTORY)": "enforced",
    }


@pytest.mark.parametrize(
    ("folder_mode", "verdict"), [(0o755, "misconfigured"), (0o700, "enforced")]
)
def test_a_secret_that_anybody_can_reach_and_read_fails(
    sandbox_image: str, folder_mode: int, verdict: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "broker")
        secret.write_text("redis://:password@host/0")
        secret.chmod(0o644)
        Path(folder).chmod(folder_mode)
        code, told = audit(**OFF, AGENTCORE_BROKER_URL_FILE=str(secret))
    assert checks(told)["AGENTCORE_BROKER_URL_FILE"]["verdict"] == verdict
    assert code == (verdict == "misconfigured")
    assert "password" not in json.dumps(told)


def test_no_container_is_left(engine: docker.DockerClient, sandbox_image: str) -> None:
    name = f"test-{secrets.token_hex(4)}"
    audit(**OFF, AGENTCORE_DEPLOYMENT=name)
    label = f"dev.agentcore.deployment={name}.audit"
    assert engine.containers.list(all=True, filters={"label": label}) == []


def test_a_missing_image_is_told_with_what_to_run(engine: docker.DockerClient) -> None:
    code, told = audit(**OFF, AGENTCORE_SANDBOX_IMAGES='{"python": "agentcore/none:0"}')
    assert code == 1
    check = checks(told)["sandbox starts (standard)"]
    assert check["verdict"] == "misconfigured"
    assert "make sandbox-image" in check["advice"]


def test_without_an_engine_the_audit_still_tells_the_rest(tmp_path: Path) -> None:
    code, told = audit(**OFF, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert code == 1
    assert told["totals"]["misconfigured"] == 1
    assert checks(told)["reachable"]["verdict"] == "misconfigured"
    assert len(told["sections"]) == 7


def test_wrong_settings_end_it_before_it_looks() -> None:
    done = run(AGENTCORE_APPARMOR="maybe")
    assert done.returncode == 2
    assert "AGENTCORE_APPARMOR" in done.stderr
    assert done.stdout == ""


def test_the_words_for_people_are_plain_where_nobody_watches(sandbox_image: str) -> None:
    done = run(**OFF)
    assert "7. Container defaults" in done.stdout
    assert "✓" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("misconfigured")
    assert "a sandbox under minimal" in done.stderr
