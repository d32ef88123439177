"""The patches that docs/kubernetes.md gives for an overlay are ones that kustomize takes."""

import os
import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from deploy.kubernetes.files import ROOT
from deploy.kubernetes.rendering import TARGETS
from tests.unit.deploy.kubernetes.manifests import (
    OVERLAYS,
    Manifest,
    containers,
    load,
    of_kind,
    one,
    workloads,
)

BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TEXT = (ROOT / "docs/kubernetes.md").read_text()


def _with(word: str, target: str, folder: Path) -> list[Manifest]:
    """Return a target as the document's only block with that word patches it."""
    (wanted,) = [yaml.safe_load(dedent(it)) for _, it in BLOCK.findall(TEXT) if word in it]
    wanted["resources"] = [os.path.relpath(TARGETS[target], folder)]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return load(folder)


@pytest.mark.parametrize("target", ["production", "node-profiles"])
def test_a_registry_with_a_login(target: str, tmp_path: Path) -> None:
    accounts = of_kind(_with("imagePullSecrets", target, tmp_path), "ServiceAccount")
    assert accounts
    assert all(it["imagePullSecrets"] == [{"name": "NAME"}] for it in accounts)


def test_a_database_outside_of_the_cluster(tmp_path: Path) -> None:
    policy = one(_with("192.0.2.20", "production", tmp_path), "NetworkPolicy", "database")
    (rule,) = policy["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "192.0.2.20/32"}}]


@pytest.mark.parametrize("target", OVERLAYS)
def test_a_brokers_own_authority_is_told_to_those_who_have_its_secret(
    target: str, tmp_path: Path
) -> None:
    objects = _with("AGENTCORE_BROKER_CA_CERTIFICATES", target, tmp_path)
    (config,) = [it for it in of_kind(objects, "ConfigMap")
                 if "AGENTCORE_BROKER_CA_CERTIFICATES" in it["data"]]  # fmt: skip
    folder, _, key = config["data"]["AGENTCORE_BROKER_CA_CERTIFICATES"].rpartition("/")
    assert key == "ca.crt"
    told = [container for workload in workloads(objects) for container in containers(workload)
            if any(it["configMapRef"]["name"] == config["metadata"]["name"]
                   for it in container.get("envFrom", []))]  # fmt: skip
    assert len(told) == 5
    for container in told:
        # A file that is not there ends a process at its start.
        assert folder in [it["mountPath"] for it in container["volumeMounts"]]
