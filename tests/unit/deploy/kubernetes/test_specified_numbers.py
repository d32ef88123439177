"""The objects and numbers that the system was specified with."""

import pytest

from tests.redis_options import bytes_of, redis_options
from tests.unit.deploy.kubernetes.manifests import (
    NAMESPACE,
    OVERLAYS,
    containers,
    of_kind,
    one,
    pod,
    process,
    rendered,
)

PRODUCTION = rendered("production")
API = process("production", "api")


@pytest.mark.parametrize("target", OVERLAYS)
def test_the_namespace_enforces_the_restricted_standard(target: str) -> None:
    labels = one(rendered(target), "Namespace", NAMESPACE)["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
    assert labels["app.kubernetes.io/component"] == "runtime"


@pytest.mark.parametrize("target", OVERLAYS)
def test_everything_is_in_the_namespace(target: str) -> None:
    for item in rendered(target):
        if item["kind"] != "Namespace":
            assert item["metadata"]["namespace"] == NAMESPACE, item["metadata"]["name"]


def test_three_replicas_are_replaced_one_by_one() -> None:
    assert API["spec"]["replicas"] == 3
    assert API["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


def test_user_and_groups_are_1000() -> None:
    context = pod(API)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert [context[it] for it in ("runAsUser", "runAsGroup", "fsGroup")] == [1000, 1000, 1000]


def test_seccomp_is_the_runtimes_for_the_pod_and_our_own_for_its_container() -> None:
    (container,) = containers(API)
    assert pod(API)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["seccompProfile"] == {
        "type": "Localhost",
        "localhostProfile": "agentcore/agentcore-standard.json",
    }


def test_requests_and_limits() -> None:
    (container,) = containers(API)
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "2000m", "memory": "4Gi"},
    }


def test_probes() -> None:
    (container,) = containers(API)
    live, ready = container["livenessProbe"], container["readinessProbe"]
    assert (live["httpGet"]["path"], live["initialDelaySeconds"]) == ("/health", 30)
    path, _, query = ready["httpGet"]["path"].partition("?")
    assert (path, ready["initialDelaySeconds"]) == ("/health/ready", 10)
    assert query == "only=api", "what is broken elsewhere must not take every API away"


def test_the_service() -> None:
    spec = one(PRODUCTION, "Service", "agentcore-api")["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["ports"] == [{"name": "http", "port": 8002, "targetPort": "http"}]
    assert containers(API)[0]["ports"] == [{"name": "http", "containerPort": 8002}]


def test_the_rights_of_the_workers_account() -> None:
    role = one(PRODUCTION, "Role", "agentcore-worker")
    rights = {tuple(it["resources"]): (set(it["verbs"]), it.get("resourceNames"))
              for it in role["rules"]}  # fmt: skip
    assert rights == {
        ("pods",): ({"create", "delete", "list", "watch"}, None),
        ("pods/status", "pods/log"): ({"get"}, None),
        ("configmaps",): ({"get", "list", "watch"}, None),
        # Stricter than specified: by name.
        ("secrets",): ({"get"}, ["agentcore-database", "agentcore-broker"]),
    }
    (binding,) = of_kind(PRODUCTION, "RoleBinding")
    assert binding["roleRef"]["name"] == "agentcore-worker"
    assert [it["name"] for it in binding["subjects"]] == ["agentcore-worker"]
    assert not of_kind(PRODUCTION, "ClusterRole")


def test_scaling() -> None:
    spec = one(PRODUCTION, "HorizontalPodAutoscaler", "agentcore-api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    assert spec["scaleTargetRef"]["name"] == "agentcore-api"
    targets = {it["resource"]["name"]: it["resource"]["target"] for it in spec["metrics"]}
    assert {name: it["averageUtilization"] for name, it in targets.items()} == {
        "cpu": 70,
        "memory": 80,
    }
    up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
    assert up["selectPolicy"] == "Max"
    assert up["policies"] == [
        {"type": "Percent", "value": 100, "periodSeconds": 30},
        {"type": "Pods", "value": 2, "periodSeconds": 30},
    ]
    assert down["policies"] == [{"type": "Percent", "value": 50, "periodSeconds": 60}]
    assert down["stabilizationWindowSeconds"] == 300


def test_the_configuration_has_limits_timeouts_security_and_images() -> None:
    (config,) = [it for it in of_kind(PRODUCTION, "ConfigMap")
                 if it["metadata"]["name"].startswith("agentcore-config-")]  # fmt: skip
    names = set(config["data"])
    assert {f"AGENTCORE_CEILING_{it}" for it in ("MEMORY_MB", "CPU_CORES", "PROCESSES")} <= names
    assert {"AGENTCORE_CEILING_EXECUTION_TIME_SECONDS", "AGENTCORE_LEASE_SECONDS"} <= names
    assert {"AGENTCORE_DEFAULT_PROFILE", "AGENTCORE_ALLOWED_PROFILES"} <= names
    assert "AGENTCORE_SANDBOX_IMAGES" in names


def test_the_development_broker_refuses_writes_before_it_runs_out_of_memory() -> None:
    (broker,) = [
        container
        for item in of_kind(rendered("development"), "Deployment")
        for container in containers(item)
        if container["name"] == "redis"
    ]
    options = redis_options(broker["command"])
    assert (options["--maxmemory-policy"], options["--save"]) == ("noeviction", "")
    limit = bytes_of(broker["resources"]["limits"]["memory"])
    assert 0 < bytes_of(options["--maxmemory"]) <= limit / 2


def test_beat_is_alone() -> None:
    spec = process("production", "beat")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_workers_have_an_account_of_their_own() -> None:
    accounts = {name: pod(process("production", name))["serviceAccountName"]
                for name in ("api", "worker", "control", "beat", "flower", "migrate")}  # fmt: skip
    assert accounts.pop("worker") == "agentcore-worker"
    assert set(accounts.values()) == {"agentcore-runtime"}
    assert {it["metadata"]["name"] for it in of_kind(PRODUCTION, "ServiceAccount")} == {
        "agentcore-worker",
        "agentcore-runtime",
    }


def test_what_has_replicas_is_spread_and_drained_one_by_one() -> None:
    budgets = {
        it["metadata"]["name"]: it["spec"] for it in of_kind(PRODUCTION, "PodDisruptionBudget")
    }
    for name in ("api", "worker", "control"):
        workload = process("production", name)
        assert workload["spec"]["replicas"] > 1
        keys = [it["topologyKey"] for it in pod(workload)["topologySpreadConstraints"]]
        assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        budget = budgets.pop(f"agentcore-{name}")
        assert budget["maxUnavailable"] == 1
        # Else no node can be drained while all of them wait for a database.
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert budget["selector"] == workload["spec"]["selector"]
    assert not budgets
