"""What is rendered, against the schemas of the oldest and the newest Kubernetes that we name."""

from pathlib import Path

import kubernetes_validate
import pytest

from deploy.kubernetes.files import ROOT
from tests.unit.deploy.kubernetes.manifests import rendered, with_components

# 1.26 knows unhealthyPodEvictionPolicy, and leaves it out unless a feature gate is set.
OLDEST, NEWEST = "1.27", "1.37"
VERSIONS = (OLDEST, NEWEST)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", ["production", "development", "node-profiles"])
def test_every_object_is_valid(target: str, version: str) -> None:
    for item in rendered(target):
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_components_add_what_is_valid_or_another_operators(version: str, tmp_path: Path) -> None:
    others = set()
    for item in with_components(tmp_path, "monitoring", "keda"):
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            others.add((item["apiVersion"], item["kind"]))
    assert others == {
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
        ("monitoring.coreos.com/v1", "PodMonitor"),
        ("monitoring.coreos.com/v1", "PrometheusRule"),
        ("keda.sh/v1alpha1", "ScaledObject"),
        ("keda.sh/v1alpha1", "TriggerAuthentication"),
    }


def test_the_newest_version_is_the_last_with_schemas() -> None:
    known = [it.rpartition(".")[0] for it in kubernetes_validate.utils.all_versions()]
    assert known[-1] == NEWEST
    assert OLDEST in known


def test_the_documents_name_these_versions() -> None:
    assert f"{OLDEST} to {NEWEST}" in (ROOT / "docs/kubernetes.md").read_text()


def test_the_schemas_refuse_a_wrong_object() -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "date": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(item, NEWEST, strict=True)
