"""Every pod keeps the restricted Pod Security Standard, and what goes beyond it."""

import shutil
from pathlib import Path

import pytest
import yaml

from deploy.kubernetes.files import HERE
from deploy.kubernetes.rendering import TARGETS
from tests.unit.deploy.kubernetes.manifests import (
    OVERLAYS,
    Manifest,
    containers,
    load,
    of_kind,
    one,
    pod,
    rendered,
    with_components,
    workloads,
)

PODS = [
    pytest.param(item, id=f"{target}/{item['metadata']['name']}")
    for target in OVERLAYS
    for item in workloads(rendered(target))
]
# Of the standard `restricted`: what a pod's volumes may be.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
           "projected", "secret"}  # fmt: skip
FILTERS = {"RuntimeDefault", "Localhost"}
NOBODYS = "registry.invalid"  # RFC 2606: a name that never exists


@pytest.mark.parametrize("workload", PODS)
def test_pods_are_restricted(workload: Manifest) -> None:
    spec = pod(workload)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"]["type"] in FILTERS
    assert not {"sysctls", "seLinuxOptions"} & set(spec["securityContext"])
    for volume in spec.get("volumes", []):
        assert set(volume) - {"name"} <= VOLUMES


@pytest.mark.parametrize("workload", PODS)
def test_containers_are_restricted(workload: Manifest) -> None:
    for container in containers(workload):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsNonRoot"] is True
        assert context["readOnlyRootFilesystem"] is True
        assert not {"privileged", "procMount", "runAsUser"} & set(context)
        assert context.get("seccompProfile", {"type": "RuntimeDefault"})["type"] in FILTERS
        assert not [port for port in container.get("ports", []) if "hostPort" in port]


@pytest.mark.parametrize("workload", PODS)
def test_pods_get_no_token_and_no_variables_of_services(workload: Manifest) -> None:
    spec = pod(workload)
    assert spec["automountServiceAccountToken"] is False
    # AGENTCORE_API_PORT=tcp://… of a Service would be taken for the setting of that name.
    assert spec["enableServiceLinks"] is False
    assert spec["serviceAccountName"] != "default"


@pytest.mark.parametrize("workload", PODS)
def test_pods_have_requests_and_limits_and_time_to_end(workload: Manifest) -> None:
    for container in containers(workload):
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}
    for volume in pod(workload).get("volumes", []):
        if volume["name"] == "tmp" and workload["metadata"]["name"].startswith("agentcore"):
            assert volume["emptyDir"]["sizeLimit"] == "64Mi"


@pytest.mark.parametrize("target", TARGETS)
def test_images_are_tagged_and_of_no_registry_and_never_latest(target: str) -> None:
    for workload in workloads(rendered(target)):
        for container in containers(workload):
            name, _, tag = container["image"].partition(":")
            assert tag and tag != "latest", container["image"]
            host = name.split("/")[0]
            assert host == NOBODYS or "." not in host, "a registry's host is the operator's to name"


@pytest.mark.parametrize("target", TARGETS)
def test_our_own_image_is_pulled_from_nobody_until_the_operator_names_it(target: str) -> None:
    ours = [it for workload in workloads(rendered(target)) for it in containers(workload)
            if "agentcore/" in it["image"]]  # fmt: skip
    assert ours
    for container in ours:
        is_unowned = container["image"].startswith(f"{NOBODYS}/")
        assert is_unowned or container["imagePullPolicy"] == "Never"


@pytest.mark.parametrize("target", ["production", "node-profiles"])
@pytest.mark.parametrize("reference", ["registry.example/team/runtime@sha256:" + "0" * 64,
                                       "registry.example:5000/runtime:1.0"])  # fmt: skip
def test_the_operators_image_takes_the_place_of_ours(
    target: str, reference: str, tmp_path: Path
) -> None:
    copy = tmp_path / "kubernetes"
    shutil.copytree(HERE, copy)
    folder = copy / TARGETS[target].relative_to(HERE)
    _edit_set_image(folder / "kustomization.yaml", reference)
    images = {it["image"] for workload in workloads(load(folder)) for it in containers(workload)}
    assert images == {reference}


def _edit_set_image(path: Path, reference: str) -> None:
    """Write what `kustomize edit set image agentcore/runtime=REFERENCE` does: a whole new entry."""
    name, digest = reference.split("@") if "@" in reference else (reference, "")
    name, tag = (name, "") if digest else tuple(name.rsplit(":", 1))
    entry = {"name": "agentcore/runtime", "newName": name, "newTag": tag, "digest": digest}
    written = yaml.safe_load(path.read_text())
    written["images"] = [{key: value for key, value in entry.items() if value}]
    path.write_text(yaml.safe_dump(written))


def test_no_file_speaks_of_a_nodes_own_engine() -> None:
    for path in _yaml_files():
        text = path.read_text()
        assert "docker.sock" not in text, path
        if path.parent.name != "node-profiles":
            assert "hostPath:" not in text, path


def test_only_the_copier_touches_the_node_and_only_one_folder_of_it() -> None:
    objects = rendered("node-profiles")
    workload = one(objects, "DaemonSet", "agentcore-node-profiles")
    spec = pod(workload)
    paths = [it["hostPath"]["path"] for it in spec["volumes"] if "hostPath" in it]
    assert paths == ["/var/lib/kubelet/seccomp/agentcore"]
    (copy,), (wait,) = spec["initContainers"], spec["containers"]
    assert copy["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert copy["securityContext"]["allowPrivilegeEscalation"] is False
    assert copy["securityContext"]["readOnlyRootFilesystem"] is True
    assert "volumeMounts" not in wait
    assert wait["securityContext"]["runAsNonRoot"] is True
    assert [it["metadata"]["namespace"] for it in objects if it["kind"] != "Namespace"] == [
        "agentcore-node-profiles"
    ] * (len(objects) - 1)


def test_more_components_add_no_pod_and_no_right(tmp_path: Path) -> None:
    extended = with_components(tmp_path, "monitoring", "keda")
    plain = rendered("production")
    for kind in ("Deployment", "Job", "Role", "RoleBinding", "NetworkPolicy"):
        assert len(of_kind(extended, kind)) == len(of_kind(plain, kind))


def _yaml_files() -> list[Path]:
    found = sorted(HERE.rglob("*.yaml"))
    assert len(found) > 20
    for path in found:
        list(yaml.safe_load_all(path.read_text()))
    return found
