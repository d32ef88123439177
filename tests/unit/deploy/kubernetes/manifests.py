"""What the manifests render to, and short ways to look things up in it."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.errors import DeployError
from deploy.kubernetes.files import HERE
from deploy.kubernetes.rendering import TARGETS, kubectl, render

Manifest = dict[str, Any]
OVERLAYS = ("production", "development")
PROCESSES = ("api", "worker", "control", "beat", "flower", "migrate")
NAMESPACE = "agentcore-runtime"


@cache
def rendered(target: str) -> list[Manifest]:
    """Return the objects of a target."""
    return load(TARGETS[target])


def load(folder: Path) -> list[Manifest]:
    """Return the objects that a kustomization renders to."""
    try:
        kubectl()
    except DeployError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error), allow_module_level=True)
    return [item for item in yaml.safe_load_all(render(folder)) if item]


def with_components(folder: Path, *names: str) -> list[Manifest]:
    """Return production with more components, as an operator adds them."""
    above = os.path.relpath(HERE, folder)
    wanted = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [f"{above}/overlays/production"],
        "components": [f"{above}/components/{name}" for name in names],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return load(folder)


def one(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the only object of this kind and name."""
    (found,) = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    """Return the objects of a kind."""
    return [item for item in objects if item["kind"] == kind]


def workloads(objects: list[Manifest]) -> list[Manifest]:
    """Return everything that makes pods."""
    return [item for item in objects if "template" in item.get("spec", {})]


def pod(workload: Manifest) -> Manifest:
    """Return the pod's specification."""
    return workload["spec"]["template"]["spec"]


def containers(workload: Manifest) -> list[Manifest]:
    """Return all containers of the pod, those that run first included."""
    spec = pod(workload)
    return spec.get("initContainers", []) + spec["containers"]


def component(item: Manifest) -> str:
    """Return the component that the pods are labelled with."""
    labels = item["spec"]["template"]["metadata"]["labels"]
    return labels["app.kubernetes.io/component"]


def process(target: str, name: str) -> Manifest:
    """Return the workload of one of our processes."""
    (found,) = [item for item in workloads(rendered(target)) if component(item) == name]
    return found


def setting(target: str, name: str, variable: str) -> str:
    """Return what a process is told by a variable."""
    return environment(target, process(target, name))[variable]


def environment(target: str, workload: Manifest) -> dict[str, str]:
    """Return the variables of the workload's last container, as the kubelet puts them together."""
    container = containers(workload)[-1]
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        data = one(rendered(target), "ConfigMap", source["configMapRef"]["name"])["data"]
        variables |= data
    return variables | {item["name"]: item["value"] for item in container.get("env", [])}
