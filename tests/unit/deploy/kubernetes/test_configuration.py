"""What the processes are told: names that exist, values that they take, secrets as files alone."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
import yaml
from fastapi import FastAPI

from api import readiness
from api.cached import Cached
from api.routes import health
from deploy.kubernetes.files import HERE, ROOT
from deploy.kubernetes.rendering import TARGETS
from models.settings import PREFIX, Settings
from tests.unit.deploy.kubernetes.manifests import (
    OVERLAYS,
    PROCESSES,
    containers,
    environment,
    load,
    of_kind,
    one,
    pod,
    process,
    rendered,
    setting,
    workloads,
)
from worker.__main__ import COMMANDS
from worker.shutdown import HAND_BACK_SECONDS

EACH = [(target, name) for target in OVERLAYS for name in PROCESSES]
SECRETS = {name for name, field in Settings.model_fields.items()
           if "SecretStr" in str(field.annotation)}  # fmt: skip
NOBODY = {"DATABASE": "postgresql://u:p@127.0.0.1:1/d", "BROKER": "redis://:p@127.0.0.1:1/0"}
# What each process writes when its settings are taken and nobody answers.
SIGNS = {
    "api": "api_started",
    "worker": "Cannot connect to redis",
    "control": "Cannot connect to redis",
    "beat": "beat: Starting",
    "flower": "Visit me at",
    "migrate": "error: the database cannot be reached",
}
TEMPLATE = list(yaml.safe_load_all((HERE / "secrets.template.yaml").read_text()))


@pytest.mark.parametrize(("target", "name"), EACH)
def test_every_variable_is_a_setting(target: str, name: str) -> None:
    for variable in environment(target, process(target, name)):
        if variable.startswith("DOCKER_"):
            assert name == "worker"
            continue
        field = variable.removeprefix(PREFIX).removesuffix("_FILE").lower()
        assert variable.startswith(PREFIX)
        assert field in Settings.model_fields, variable


def _told(target: str, name: str, folder: Path) -> dict[str, str]:
    """Return what a process is told; its secrets are addresses where nobody listens."""
    told = environment(target, process(target, name))
    for variable in [it for it in told if it.endswith("_FILE")]:
        kind = next((it for it in NOBODY if it in variable), "")
        told[variable] = str(folder / variable)
        (folder / variable).write_text(NOBODY.get(kind, "x" * 32))
    return told


@pytest.mark.parametrize(("name", "sign"), SIGNS.items())
def test_each_process_starts_by_its_manifest(name: str, sign: str, tmp_path: Path) -> None:
    told = _told("production", name, tmp_path)
    told = {it: value for it, value in told.items() if not it.startswith("DOCKER_")}
    ports = [it for it in told if it.endswith("_PORT")]
    told |= {it: str(number) for it, number in zip(ports, _free_ports(len(ports)), strict=True)}
    (container,) = containers(process("production", name))
    with subprocess.Popen(
        [sys.executable, *container["command"][1:]],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | told,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        lines = []
        try:
            for line in started.stdout:
                lines.append(line)
                if sign in line:
                    return
        finally:
            started.kill()
    pytest.fail("".join(lines))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


@pytest.mark.parametrize(("target", "name"), EACH)
def test_settings_take_what_each_process_is_told(
    target: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("AGENTCORE_DATABASE_URL", "AGENTCORE_BROKER_URL"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in _told(target, name, tmp_path).items():
        monkeypatch.setenv(variable, value)
    settings = Settings()  # type: ignore[call-arg]
    if name != "migrate":
        assert settings.kubernetes_namespace == "agentcore-runtime"
        assert settings.egress_ceiling == (), "a remote engine cannot mount the proxy's sockets"


def test_overlays_do_not_sweep_each_others_containers() -> None:
    names = {target: setting(target, "worker", "AGENTCORE_DEPLOYMENT") for target in OVERLAYS}
    assert names["production"] == "agentcore-runtime"
    assert len(set(names.values())) == len(names), "they may share an engine"


@pytest.mark.parametrize("target", OVERLAYS)
def test_a_changed_setting_restarts_the_processes_and_leaves_the_finished_job(
    target: str, tmp_path: Path
) -> None:
    wanted = {
        "resources": [os.path.relpath(TARGETS[target], tmp_path)],
        "namespace": "agentcore-runtime",
        "configMapGenerator": [
            {"name": "agentcore-config", "behavior": "merge", "literals": ["AGENTCORE_DEBUG=true"]}
        ],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    changed = load(tmp_path)
    for name in PROCESSES:
        before = process(target, name)
        now = one(changed, before["kind"], before["metadata"]["name"])
        assert (now["spec"] == before["spec"]) == (name == "migrate")


@pytest.mark.parametrize(("target", "name"), EACH)
def test_secrets_come_as_files_of_mounted_secrets(target: str, name: str) -> None:
    workload = process(target, name)
    (container,) = containers(workload)
    mounts = {it["mountPath"]: it["name"] for it in container["volumeMounts"]}
    volumes = {it["name"]: it for it in pod(workload)["volumes"]}
    for variable, value in environment(target, workload).items():
        field = variable.removeprefix(PREFIX).lower()
        if field in SECRETS:
            assert value == "unused://", f"{variable} must be a file"
        if field.removesuffix("_file") in SECRETS and field.endswith("_file"):
            folder, _, key = value.rpartition("/")
            secret = volumes[mounts[folder]]["secret"]
            assert key in one(TEMPLATE, "Secret", secret["secretName"])["stringData"]
            assert secret["defaultMode"] == 0o440
    assert not [it for it in container.get("env", []) if "valueFrom" in it]
    assert not [it for it in container.get("envFrom", []) if "secretRef" in it]


@pytest.mark.parametrize("target", OVERLAYS)
def test_only_who_needs_a_secret_has_it(target: str) -> None:
    def mounted(name: str) -> set[str]:
        volumes = pod(process(target, name))["volumes"]
        found = {it["secret"]["secretName"] for it in volumes if "secret" in it}
        return {it.removeprefix("agentcore-") for it in found}

    assert {name: mounted(name) for name in PROCESSES} == {
        "api": {"database", "broker"},
        "worker": {"database", "broker", "docker"},
        "control": {"database", "broker"},
        "beat": {"broker"},
        "flower": {"broker", "flower"},
        "migrate": {"database-owner"},
    }


def test_the_template_holds_no_secret_and_nothing_applies_it() -> None:
    for item in TEMPLATE:
        assert item["kind"] == "Secret"
        assert set(item["stringData"].values()) == {""}
    for target in (*OVERLAYS, "node-profiles"):
        assert not of_kind(rendered(target), "Secret")


def test_the_template_names_files_where_the_pods_have_them() -> None:
    text = (HERE / "secrets.template.yaml").read_text()
    mounted = _mounted()
    named = set()
    for part in text.split("---\n"):
        for folder, file in re.findall(r"(/run/secrets/agentcore/[\w-]+)/(\w+\.\w+)", part):
            secret = yaml.safe_load(part)["metadata"]["name"]
            assert mounted[folder] == secret
            named.add((secret, file))
    files = {f"agentcore-{it}": "ca.crt" for it in ("database", "database-owner", "broker")}
    assert named == set(files.items())


def _mounted() -> dict[str, str]:
    """Return which Secret is at which folder; it is the same one in every pod that has it."""
    found = set()
    for name in PROCESSES:
        workload = process("production", name)
        secrets = {it["name"]: it["secret"]["secretName"]
                   for it in pod(workload)["volumes"] if "secret" in it}  # fmt: skip
        mounts = containers(workload)[0]["volumeMounts"]
        found |= {(it["mountPath"], secrets[it["name"]]) for it in mounts if it["name"] in secrets}
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("target", OVERLAYS)
def test_ports_are_what_the_processes_listen_on(target: str) -> None:
    told = {
        "api": ("AGENTCORE_API_PORT", "http"),
        "worker": ("AGENTCORE_WORKER_METRICS_PORT", "metrics"),
        "control": ("AGENTCORE_CONTROL_METRICS_PORT", "metrics"),
        "flower": ("AGENTCORE_FLOWER_PORT", "http"),
    }
    for name, (variable, port) in told.items():
        (container,) = containers(process(target, name))
        assert container["ports"] == [
            {"name": port, "containerPort": int(setting(target, name, variable))}
        ]
        for probe in ("livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == port
        host = variable.replace("_PORT", "_HOST").replace("CONTROL", "WORKER")
        assert setting(target, name, host) == "0.0.0.0"


@pytest.mark.parametrize("target", OVERLAYS)
def test_the_api_takes_what_its_probes_ask(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_in_database", Cached(lambda: ("ok", "none", "none"), 60))
    monkeypatch.setattr(readiness, "_of_broker", Cached(lambda: "away", 60))
    app = FastAPI()
    app.include_router(health.router)
    (container,) = containers(process(target, "api"))

    async def ask(path: str) -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
            return (await client.get(path)).status_code

    for probe in ("livenessProbe", "readinessProbe"):
        assert asyncio.run(ask(container[probe]["httpGet"]["path"])) == 200
    assert asyncio.run(ask("/health/ready")) == 503


@pytest.mark.parametrize("target", OVERLAYS)
def test_services_find_their_pods(target: str) -> None:
    for name in ("api", "flower"):
        service = one(rendered(target), "Service", f"agentcore-{name}")["spec"]
        workload = process(target, name)
        assert service["selector"] == workload["spec"]["selector"]["matchLabels"]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert service["selector"].items() <= labels.items()
        (container,) = containers(workload)
        (offered,), (listening,) = service["ports"], container["ports"]
        assert offered["targetPort"] == listening["name"]
        assert offered["port"] == listening["containerPort"]


def test_files_that_point_at_documents_point_at_the_right_one() -> None:
    pointer = (HERE / "base/runtime.env").read_text().splitlines()[0]
    (document,) = re.findall(r"[\w/]+\.md", pointer)
    text = (ROOT / document).read_text()
    for name in environment("production", process("production", "api")):
        assert f"`{name.removesuffix('_FILE')}`" in text, f"{document} does not explain {name}"


@pytest.mark.parametrize(("target", "name"), EACH)
def test_commands_exist(target: str, name: str) -> None:
    (container,) = containers(process(target, name))
    python, option, module, *words = container["command"]
    assert (python, option) == ("python", "-m")
    if module == "worker":
        assert words[0] in COMMANDS
        assert words == ["run" if name == "worker" else name]
    else:
        assert [module, *words] in (["api", "serve"], ["alembic", "upgrade", "head"])


@pytest.mark.parametrize("target", OVERLAYS)
def test_workers_are_given_longer_than_they_take_to_stop(target: str) -> None:
    drain = float(setting(target, "worker", "AGENTCORE_DRAIN_SECONDS"))
    grace = pod(process(target, "worker"))["terminationGracePeriodSeconds"]
    assert grace > drain + HAND_BACK_SECONDS


def test_production_drains_as_long_as_the_longest_run() -> None:
    longest = setting("production", "worker", "AGENTCORE_CEILING_EXECUTION_TIME_SECONDS")
    assert setting("production", "worker", "AGENTCORE_DRAIN_SECONDS") == longest


@pytest.mark.parametrize("target", OVERLAYS)
def test_the_engine_is_reached_with_certificates_on_both_sides(target: str) -> None:
    told = environment(target, process(target, "worker"))
    assert re.fullmatch(r"tcp://[a-z0-9.-]+\.example\.com:2376", told["DOCKER_HOST"])
    assert told["DOCKER_TLS_VERIFY"] == "1"
    files = set(one(TEMPLATE, "Secret", "agentcore-docker")["stringData"])
    assert files == {"ca.pem", "cert.pem", "key.pem"}  # the names that the Docker SDK reads
    mounts = containers(process(target, "worker"))[0]["volumeMounts"]
    assert told["DOCKER_CERT_PATH"] in [it["mountPath"] for it in mounts]


def test_production_runs_this_release() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {containers(process("production", name))[0]["image"] for name in PROCESSES}
    assert images == {f"registry.invalid/agentcore/runtime:{version}"}
    sandbox = setting("production", "worker", "AGENTCORE_SANDBOX_IMAGES")
    assert f"agentcore/sandbox:{version}" in sandbox
    copier = one(rendered("node-profiles"), "DaemonSet", "agentcore-node-profiles")
    assert {it["image"] for it in containers(copier)} == images


@pytest.mark.parametrize("target", OVERLAYS)
def test_each_stage_of_an_apply_needs_only_what_came_before(target: str) -> None:
    stages: dict[str | None, set[tuple[str, str]]] = {}
    for item in rendered(target):
        stage = item["metadata"].get("labels", {}).get("agentcore.dev/stage")
        stages.setdefault(stage, set()).add((item["kind"], item["metadata"]["name"]))
    assert set(stages) == {"prepare", "migrate", None}
    assert ("Namespace", "agentcore-runtime") in stages["prepare"]
    assert stages["migrate"] == {("Job", "agentcore-migrate")}
    for item in workloads(rendered(target)):
        volumes = pod(item).get("volumes", [])
        configs = {it["configMap"]["name"] for it in volumes if "configMap" in it}
        for container in containers(item):
            configs |= {it["configMapRef"]["name"] for it in container.get("envFrom", [])}
        assert {("ConfigMap", name) for name in configs} <= stages["prepare"]
        assert ("ServiceAccount", pod(item)["serviceAccountName"]) in stages["prepare"]
    for policy in of_kind(rendered(target), "NetworkPolicy"):
        assert ("NetworkPolicy", policy["metadata"]["name"]) in stages["prepare"]
