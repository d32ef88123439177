"""The stack through its published ports, as its users see it."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.compose.deployment import FILES, Deployment
from tests.harness import ROOT, Api, refused_fields, wait_until

BY_CELERY = """
from celery import Celery
url = open("/run/secrets/broker_url").read().strip()
task = Celery(broker=url, backend=url).send_task(
    "agentcore.run", args=[{"source": "print(6 * 7)"}], kwargs={"tenant": "tests"},
    queue="agentcore.control", argsrepr="(request)",
)
print(task.get(timeout=60)["stdout"]["text"])
"""
ASK_METRICS = """
import urllib.request
print(urllib.request.urlopen("http://worker:9090/metrics", timeout=5).read().decode())
"""
FETCH = """
import urllib.error, urllib.request
for url in URLS:
    try:
        print(urllib.request.urlopen(url, timeout=20).read().decode())
    except urllib.error.HTTPError as error:
        print("refused:", error.headers["X-AgentCore-Denied"])
"""


def test_a_program_with_a_file_makes_an_artifact(published: Api, tmp_path: Path) -> None:
    source = (
        "text = open('in.txt').read()\nimport os\nos.makedirs('output', exist_ok=True)\n"
        "open('output/out.txt', 'w').write(text.upper())\nprint(len(text))"
    )
    execution = published.run(source, files=[{"path": "in.txt", "content": "hello"}])
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "5\n")
    assert execution["isolation"]["engine"]["read_only"] is True
    kept = published.get(f"/v1/executions/{execution['id']}/artifacts/out.txt")
    assert kept.text == "HELLO"
    assert published.events(execution["id"])["intact"] is True


def test_a_program_that_takes_too_long_is_ended(published: Api) -> None:
    limits = {"max_execution_time_seconds": 1}
    execution = published.run("while True: pass", execution_limits=limits)
    assert execution["status"] == "timed_out"


def test_sandboxes_wait_for_their_jobs(published: Api, deployment: Deployment) -> None:
    def warm() -> bool:
        execution = published.run("print(1)")
        return bool(execution["isolation"]["engine"]["warm"])

    assert wait_until(warm, 60, "a sandbox that was started ahead")
    assert deployment.sandboxes()


def test_a_program_reaches_the_allowed_host_alone(published: Api, deployment: Deployment) -> None:
    address = deployment.address_of("files", "egress")
    urls = [f"http://{FILES}/alembic.ini", "http://postgres:5432/", f"http://{address}:22/"]
    execution = published.run(f"URLS = {urls!r}\n{FETCH}", allowed_hosts=[FILES, f"{address}:8080"])
    assert execution["status"] == "succeeded", execution
    lines = execution["stdout"]["text"].splitlines()
    assert "[alembic]" in lines
    assert lines[-2:] == ["refused: host_not_allowed", "refused: port_not_allowed"]
    assert (execution["network"]["requests"], execution["network"]["denied"]) == (1, 2)


def test_a_request_may_not_list_more_than_the_ceiling(published: Api) -> None:
    body = {"source": "pass", "allowed_hosts": ["postgres:5432"]}
    answer = published.post("/v1/executions", json=body)
    assert answer.status_code == 422
    assert refused_fields(answer) == {"allowed_hosts"}


def test_the_command_line_works_against_the_published_port(
    published: Api, deployment: Deployment, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("agentcore"), "run",
            "--file", f"{ROOT / 'examples/data/requests.csv'}:requests.csv",
            "--output-dir", tmp_path / "out", ROOT / "examples/analyse_requests.py",
        ],
        env={"AGENTCORE_URL": deployment.url, "AGENTCORE_API_KEY": published.key,
             "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Look at /checkout first." in done.stdout
    assert "| /checkout |" in (tmp_path / "out/report.md").read_text()


def test_another_service_of_the_network_runs_by_celery(deployment: Deployment) -> None:
    said = deployment.compose("exec", "-T", "control", "python", "-c", BY_CELERY)
    assert said.strip() == "42"


def test_the_workers_metrics_are_for_the_network_alone(deployment: Deployment) -> None:
    said = deployment.compose("exec", "-T", "control", "python", "-c", ASK_METRICS)
    assert "agentcore_worker_outcomes_total" in said
    assert not deployment.container("worker").ports.get("9090/tcp")


def test_nothing_is_published_beyond_loopback(deployment: Deployment) -> None:
    published = [
        place["HostIp"]
        for item in deployment.containers()
        for places in item.ports.values()
        for place in places or ()
    ]
    assert len(published) >= 2
    assert set(published) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "service",
    ["postgres", "redis", "migrate", "api", "worker", "control", "beat", "flower"],
)
def test_the_engine_holds_a_service_as_told(deployment: Deployment, service: str) -> None:
    host = deployment.container(service).attrs["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Privileged"] is False
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert 0 < host["Memory"] <= 1 << 30
    assert 0 < host["PidsLimit"] <= 1000
    assert 0 < host["NanoCpus"] <= 1_000_000_000
    sockets = [bind for bind in host["Binds"] or () if "docker.sock" in bind]
    assert bool(sockets) is (service == "worker")


def test_database_and_broker_are_on_a_network_without_a_way_out(deployment: Deployment) -> None:
    for service in ("postgres", "redis"):
        networks = deployment.container(service).attrs["NetworkSettings"]["Networks"]
        assert set(networks) == {f"{deployment.project}_internal"}
    internal = deployment.engine.networks.list(names=[f"{deployment.project}_internal"])[0]
    internal.reload()
    assert internal.attrs["Internal"] is True


def test_flower_wants_its_password(deployment: Deployment) -> None:
    assert httpx.get(f"{deployment.flower}/workers").status_code == 401
