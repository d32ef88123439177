"""KEDA's rule for the number of workers, held against the tables and the settings."""

import re

import pytest
from sqlalchemy.dialects import postgresql

from deploy.kubernetes.files import ROOT
from models.status import Status
from models.tables import ExecutionRow
from tests.unit.deploy.kubernetes.manifests import (
    Manifest,
    one,
    process,
    setting,
    with_components,
)

CONNECTED = ("api", "worker", "control")  # to the database, for as long as they run


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return with_components(tmp_path_factory.mktemp("scaled"), "keda")


def test_the_query_is_answered_by_an_index(objects: list[Manifest]) -> None:
    (trigger,) = one(objects, "ScaledObject", "agentcore-worker")["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    assert query.startswith(f"SELECT count(*) FROM {ExecutionRow.__tablename__} WHERE ")
    condition = query.partition(" WHERE ")[2]
    partial = [
        str(index.dialect_options["postgresql"]["where"].compile(dialect=postgresql.dialect()))
        for index in ExecutionRow.__table__.indexes  # type: ignore[attr-defined]
        if index.dialect_options["postgresql"]["where"] is not None
    ]
    assert condition in partial
    assert set(re.findall(r"'(\w+)'", condition)) == {Status.QUEUED, Status.RUNNING}


def test_one_worker_is_wanted_for_as_much_as_it_runs_at_once(objects: list[Manifest]) -> None:
    (trigger,) = one(objects, "ScaledObject", "agentcore-worker")["spec"]["triggers"]
    slots = setting("production", "worker", "AGENTCORE_WORKER_SLOTS")
    assert trigger["metadata"]["targetQueryValue"] == slots
    assert trigger["metricType"] == "AverageValue"


def test_the_number_of_workers_is_left_to_it(objects: list[Manifest]) -> None:
    assert "replicas" not in one(objects, "Deployment", "agentcore-worker")["spec"]
    scaled = one(objects, "ScaledObject", "agentcore-worker")["spec"]
    assert scaled["scaleTargetRef"] == {"name": "agentcore-worker"}
    assert 1 < scaled["minReplicaCount"] < scaled["maxReplicaCount"]
    assert scaled["fallback"]["replicas"] == scaled["minReplicaCount"]


def test_the_documents_add_up_the_connections(objects: list[Manifest]) -> None:
    each = int(setting("production", "api", "AGENTCORE_DATABASE_POOL_SIZE"))
    pods = {
        it: process("production", it)["spec"]["replicas"] for it in ("api", "worker", "control")
    }
    most_apis = one(objects, "HorizontalPodAutoscaler", "agentcore-api")["spec"]["maxReplicas"]
    most_workers = one(objects, "ScaledObject", "agentcore-worker")["spec"]["maxReplicaCount"]
    sums = []
    for more in ({}, {"api": most_apis}, {"api": most_apis, "worker": most_workers}):
        pods |= more
        sums.append(sum(pods.values()) * each + pods["api"])  # an API listens on one more
    text = " ".join((ROOT / "docs/kubernetes.md").read_text().split())
    assert f"`AGENTCORE_DATABASE_POOL_SIZE` ({each})" in text
    words = "{} with the replicas above, {} with ten APIs, {} with KEDA's ten workers"
    assert words.format(*sums) in text


def test_its_secret_is_in_the_template(objects: list[Manifest]) -> None:
    from tests.unit.deploy.kubernetes.test_configuration import TEMPLATE

    (reference,) = one(objects, "TriggerAuthentication", "agentcore-queue")["spec"][
        "secretTargetRef"
    ]
    assert reference["parameter"] == "connection"
    assert reference["key"] in one(TEMPLATE, "Secret", reference["name"])["stringData"]
