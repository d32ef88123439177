"""docker-compose.yml as real Compose reads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT

SERVICES = {"postgres", "redis", "migrate", "api", "worker", "control", "beat", "flower"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    program = Path(sys.executable).with_name("docker-compose")
    done = subprocess.run(
        [program, "-f", ROOT / "docker-compose.yml", "config", "--format", "json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_compose_accepts_the_file_with_all_services(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == SERVICES


def test_every_published_port_is_on_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_no_service_carries_a_secret_as_a_value(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in (service.get("environment") or {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE")
            assert "://" not in value or name.endswith("_FILE")


def test_only_the_worker_reaches_the_engine(compose: dict[str, Any]) -> None:
    holders = {
        name
        for name, service in compose["services"].items()
        for volume in service.get("volumes") or []
        if "docker.sock" in volume.get("source", "")
    }
    assert holders == {"worker"}


def test_our_processes_are_hardened(compose: dict[str, Any]) -> None:
    for name in SERVICES - {"postgres", "redis"}:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_can_be_asked_for_its_health_is(compose: dict[str, Any]) -> None:
    for name in ("postgres", "redis", "api", "worker", "flower"):
        assert "healthcheck" in compose["services"][name]
