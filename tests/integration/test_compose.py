"""docker-compose.yml as real Compose reads it, and what its services are asked for their health.

`make compose-test` brings it up; here nothing is started but what the other tests use, too."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.compose.program import command
from deploy.compose_secrets import values
from tests.harness import ROOT, Stack, wait_until
from tests.redis_options import bytes_of, redis_options

OURS = {"migrate", "api", "worker", "control", "beat", "flower"}
SERVICES = OURS | {"postgres", "redis"}
DEVELOPMENT = {"api-dev", "registry"}
TEXT = (ROOT / "docker-compose.yml").read_text()


def read(*words: str, **variables: str) -> dict[str, Any]:
    shell = {k: v for k, v in os.environ.items() if not k.startswith(("AGENTCORE", "COMPOSE"))}
    done = subprocess.run(
        [*command(), "--project-name", "a_b-c", *words, "config", "--format", "json"],
        env=shell | {"DOCKER_GROUP_ID": "7"} | variables,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return dict(read("--profile", "*")["services"])


def test_without_a_profile_there_is_nothing_for_developers() -> None:
    assert set(read()["services"]) == SERVICES


def test_the_profile_dev_adds_hot_reload_and_a_registry(everything: dict[str, Any]) -> None:
    assert set(everything) == SERVICES | DEVELOPMENT
    assert everything["api-dev"]["build"]["target"] == "development"
    assert everything["registry"]["ports"][0]["published"] == "5000"


def test_the_file_names_no_version_and_no_project() -> None:
    assert not any(line.startswith(("version:", "name:")) for line in TEXT.splitlines())


def test_every_published_port_is_on_loopback(everything: dict[str, Any]) -> None:
    ports = [port for service in everything.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert {port["published"] for port in ports} == {"8002", "5555", "8003", "5000"}


def test_no_service_carries_a_secret_as_a_value(everything: dict[str, Any]) -> None:
    for service in everything.values():
        for name, value in (service.get("environment") or {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE")
            assert "://" not in value or value == "unused://" or name.endswith("_FILE")


def test_every_secret_is_a_file(everything: dict[str, Any]) -> None:
    secrets = read()["secrets"]
    assert {Path(item["file"]).parent for item in secrets.values()} == {ROOT / "secrets"}


def test_each_service_has_the_secrets_that_it_needs_and_no_other(
    everything: dict[str, Any],
) -> None:
    given = {
        name: {item["source"] for item in service["secrets"]}
        for name, service in everything.items()
        if "secrets" in service
    }
    both = {"database_url", "broker_url"}
    assert given == {
        "postgres": {"postgres_owner_password", "postgres_app_password"},
        "redis": {"redis_conf"},
        "migrate": both | {"database_owner_url"},
        **dict.fromkeys(("api", "api-dev", "worker", "control", "beat"), both),
        "flower": {"broker_url", "flower_password"},
    }
    for service in everything.values():
        files = [v for k, v in (service.get("environment") or {}).items() if k.endswith("_FILE")]
        mounted = {f"/run/secrets/{item['source']}" for item in service.get("secrets", [])}
        assert set(files) <= mounted


def test_services_are_made_anew_when_their_secrets_change() -> None:
    for service in read("--profile", "*", AGENTCORE_SECRETS_HASH="abc")["services"].values():
        told = service.get("labels", {}).get("dev.agentcore.secrets")
        assert told == ("abc" if "secrets" in service else None)


def test_nothing_of_ours_is_pulled_unless_told(everything: dict[str, Any]) -> None:
    ours = OURS | {"api-dev"}
    assert {everything[name]["pull_policy"] for name in ours} == {"never"}
    assert all("build" in everything[name] for name in ours)
    told = read(AGENTCORE_PULL_POLICY="missing")["services"]
    assert {told[name]["pull_policy"] for name in OURS} == {"missing"}


def test_a_file_of_settings_wins_over_what_is_set_for_all(tmp_path: Path) -> None:
    name, images = "AGENTCORE_EGRESS_CEILING", "AGENTCORE_SANDBOX_IMAGES"
    (tmp_path / "mine.env").write_text(f'{name}=["example.com"]\nAGENTCORE_WORKER_SLOTS=3\n')
    mine = {"AGENTCORE_SETTINGS": str(tmp_path / "mine.env")}

    def told(**variables: str) -> dict[str, str]:
        services = read(**variables)["services"]
        found = [services[it]["environment"] for it in sorted(OURS)]
        assert len({(it[name], it[images]) for it in found}) == 1
        return dict(found[0])

    assert json.loads(told()[name]) == ["*", "0.0.0.0/0", "::/0"]
    assert json.loads(told(**{name: '["a.example"]'})[name]) == ["a.example"]
    assert json.loads(told(**mine)[name]) == ["example.com"]
    assert told(**mine)["AGENTCORE_WORKER_SLOTS"] == "3"
    assert json.loads(told(**mine)[images]) == {"python": "agentcore/sandbox:dev"}
    other = told(AGENTCORE_SANDBOX_IMAGE="registry.example/sandbox:1")[images]
    assert json.loads(other) == {"python": "registry.example/sandbox:1"}


def test_ports_inside_the_containers_are_those_that_are_published(
    everything: dict[str, Any],
) -> None:
    for name, variable in (("api", "AGENTCORE_API_PORT"), ("flower", "AGENTCORE_FLOWER_PORT")):
        (port,) = everything[name]["ports"]
        assert everything[name]["environment"][variable] == str(port["target"])


def test_only_the_worker_reaches_the_engine(everything: dict[str, Any]) -> None:
    holders = {
        name
        for name, service in everything.items()
        for volume in service.get("volumes") or []
        if "docker.sock" in volume.get("source", "")
    }
    assert holders == {"worker"}
    assert {name for name in everything if everything[name].get("group_add")} == {"worker"}
    assert everything["worker"]["group_add"] == ["7"]
    assert {name for name in everything if everything[name].get("userns_mode")} == {"worker"}


def test_every_service_is_hardened_and_limited(everything: dict[str, Any]) -> None:
    for service in everything.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert not service.get("cap_add")
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert 0 < int(service["mem_limit"]) <= 1 << 30
        assert 0 < service["cpus"] <= 1  # more would not start on a host with one
        assert 0 < service["pids_limit"] <= 1000
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert not service.get("privileged")


def test_every_service_that_goes_on_has_a_health_check(everything: dict[str, Any]) -> None:
    for name, service in everything.items():
        goes_on = name not in ("migrate", "registry")  # the one ends, the other is for trying
        assert ("test" in service.get("healthcheck", {})) is goes_on, name


def test_ours_wait_for_the_migration_and_it_for_the_database(everything: dict[str, Any]) -> None:
    for name in (OURS | {"api-dev"}) - {"migrate"}:
        conditions = {k: v["condition"] for k, v in everything[name]["depends_on"].items()}
        assert conditions == {
            "migrate": "service_completed_successfully",
            "redis": "service_healthy",
        }
    assert everything["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert everything["migrate"]["restart"] == "no"


def test_database_and_broker_have_no_way_out(everything: dict[str, Any]) -> None:
    assert set(everything["postgres"]["networks"]) == {"internal"}
    assert set(everything["redis"]["networks"]) == {"internal"}
    assert read()["networks"]["internal"]["internal"] is True
    assert "egress" not in everything["api"]["networks"]


def test_the_engine_finds_egress_sockets_where_the_worker_makes_them(
    everything: dict[str, Any],
) -> None:
    worker = everything["worker"]
    volume = read()["volumes"]["egress"]
    folder = f"/var/lib/docker/volumes/{volume['name']}/_data"
    assert worker["environment"]["AGENTCORE_EGRESS_DIRECTORY"] == folder
    assert folder in [item["target"] for item in worker["volumes"]]
    # Another user's, or one that others may enter, is refused by the worker.
    assert "uid=1000,gid=1000,mode=0700" in volume["driver_opts"]["o"]


def test_metrics_of_the_worker_are_not_published(everything: dict[str, Any]) -> None:
    worker = everything["worker"]
    assert worker["environment"]["AGENTCORE_WORKER_METRICS_PORT"] == "9090"
    assert "ports" not in worker


def test_the_broker_refuses_writes_before_it_runs_out_of_memory(
    everything: dict[str, Any],
) -> None:
    redis = everything["redis"]
    options = redis_options(redis["command"])
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"
    assert options["--save"] == ""
    assert 0 < bytes_of(options["--maxmemory"]) <= int(redis["mem_limit"]) / 2


def test_the_brokers_secret_file_holds_its_password_alone() -> None:
    (line,) = values()["redis_conf"].splitlines()
    assert line.startswith("requirepass ")


@pytest.mark.parametrize("what", ["worker", "sweep"])
def test_who_lives_is_found_well_and_who_is_gone_is_not(stack: Stack, what: str) -> None:
    stack.wait_ready()

    def look(**settings: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "deploy.healthcheck", what],
            cwd=ROOT, env=stack.environment | settings, capture_output=True, timeout=60,
        ).returncode  # fmt: skip

    wait_until(lambda: look() == 0, 30, f"health of the {what}")
    elsewhere = stack.owner_url.replace("/agentcore?", "/postgres?")
    assert elsewhere != stack.owner_url
    assert look(AGENTCORE_DATABASE_URL=elsewhere) == 1


def test_a_worker_of_another_host_is_not_taken_for_ones_own(stack: Stack) -> None:
    stack.wait_ready()
    look = (
        "import socket; socket.gethostname = lambda: 'elsewhere'\n"
        "from deploy.healthcheck import main; raise SystemExit(main(['worker']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "no sign of the worker for 30 s\n")
