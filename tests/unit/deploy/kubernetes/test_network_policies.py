"""Who may talk to whom, worked out as a cluster would: policies only add up."""

import pytest

from tests.unit.deploy.kubernetes.manifests import (
    OVERLAYS,
    PROCESSES,
    Manifest,
    component,
    containers,
    of_kind,
    process,
    rendered,
    workloads,
)

DNS = {("kube-dns", 53)}
DATABASE = {("data", 5432)}
BROKER = {("data", 5671), ("data", 5672), ("data", 6379)}
ENGINE = {("192.0.2.10/32", 2376)}


def test_ways_out_of_production() -> None:
    assert {name: _ways("production", name, "egress") for name in PROCESSES} == {
        "api": DNS | DATABASE | BROKER,
        "worker": DNS | DATABASE | BROKER | ENGINE,
        "control": DNS | DATABASE | BROKER,
        "beat": DNS | BROKER,
        "flower": DNS | BROKER,
        "migrate": DNS | DATABASE,
    }


def test_ways_into_production() -> None:
    assert {name: _ways("production", name, "ingress") for name in PROCESSES} == {
        "api": {("ingress", 8002), ("monitoring", 8002)},
        "worker": {("monitoring", 8003)},
        "control": {("monitoring", 8003)},
        "beat": set(),
        "flower": {("operations", 5555)},
        "migrate": set(),
    }


@pytest.mark.parametrize("target", OVERLAYS)
@pytest.mark.parametrize("name", ["sandbox", "anything-else"])
def test_a_sandbox_and_an_unknown_pod_reach_nothing_and_are_reached_by_nothing(
    target: str, name: str
) -> None:
    for direction in ("egress", "ingress"):
        assert _ways(target, name, direction) == set()
        assert _is_isolated(target, {"app.kubernetes.io/component": name}, direction)


@pytest.mark.parametrize("target", OVERLAYS)
def test_every_pod_is_isolated_both_ways(target: str) -> None:
    for workload in workloads(rendered(target)):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        for direction in ("egress", "ingress"):
            assert _is_isolated(target, labels, direction)


def test_developments_data_is_reached_by_our_processes_alone() -> None:
    for name in ("postgres", "redis"):
        reached = _ways("development", name, "ingress", {"agentcore.dev/role": "data"})
        assert {port for _, port in reached} == {5432, 6379}
        assert {who for who, _ in reached} == set(PROCESSES)
        assert not _ways("development", name, "egress", {"agentcore.dev/role": "data"})


@pytest.mark.parametrize("target", OVERLAYS)
def test_ports_of_policies_are_ports_of_pods(target: str) -> None:
    for name in PROCESSES:
        (container,) = containers(process(target, name))
        listening = {it["containerPort"] for it in container.get("ports", [])}
        assert {port for _, port in _ways(target, name, "ingress")} <= listening


def _ways(
    target: str, name: str, direction: str, labels: dict[str, str] | None = None
) -> set[tuple[str, int]]:
    """Return the peers and ports that the policies open to pods of a component."""
    labels = {"app.kubernetes.io/component": name, **(labels or {})}
    known = [item for item in workloads(rendered(target)) if component(item) == name]
    for item in known:
        labels |= item["spec"]["template"]["metadata"]["labels"]
    found = set()
    for policy in of_kind(rendered(target), "NetworkPolicy"):
        if not _selects(policy["spec"]["podSelector"], labels):
            continue
        for rule in policy["spec"].get(direction, []):
            peers = rule["to" if direction == "egress" else "from"]
            assert peers, "an empty list of peers would be everybody"
            assert rule["ports"], "and an empty list of ports every port"
            ports = [it["port"] for it in rule["ports"]]
            found |= {(who, port) for peer in peers for who in _names(peer) for port in ports}
    return found


def _names(peer: Manifest) -> list[str]:
    """Return short names of those that a peer stands for."""
    if "ipBlock" in peer:
        assert set(peer["ipBlock"]) == {"cidr"}
        return [peer["ipBlock"]["cidr"]]
    pods, namespaces = peer.get("podSelector"), peer.get("namespaceSelector")
    if pods and namespaces:
        assert namespaces == {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
        return [pods["matchLabels"]["k8s-app"]]
    selector = pods or namespaces
    assert selector, "an empty selector would be everybody"
    if labels := selector.get("matchLabels"):
        return list(labels.values())
    (expression,) = selector["matchExpressions"]
    assert expression["operator"] == "In"
    return expression["values"]


def _is_isolated(target: str, labels: dict[str, str], direction: str) -> bool:
    return any(
        _selects(policy["spec"]["podSelector"], labels)
        and direction.capitalize() in policy["spec"]["policyTypes"]
        for policy in of_kind(rendered(target), "NetworkPolicy")
    )


def _selects(selector: Manifest, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()
