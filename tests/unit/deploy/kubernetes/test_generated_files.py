"""Files made from others, the copier of profiles, and the list for checkov."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.kubernetes import files
from deploy.kubernetes.__main__ import main
from deploy.kubernetes.accepted import Accepted, Finding, judge
from security_profiles.files import rendered_files
from tests.unit.deploy.kubernetes.manifests import of_kind, one, rendered

INSTALLER = files.HERE / "node-profiles" / "install.py"


def test_generated_files_are_up_to_date() -> None:
    assert main(["generate", "--check"]) == 0
    assert len(files.generated()) == 4


def test_a_changed_copy_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = files.generated()
    first = next(iter(made))
    monkeypatch.setattr(files, "generated", lambda: made | {first: "other"})
    assert main(["generate", "--check"]) == 1
    assert first.name in capsys.readouterr().err


def test_the_nodes_are_given_what_the_profiles_data_says() -> None:
    (config,) = [it for it in of_kind(rendered("node-profiles"), "ConfigMap")
                 if it["metadata"]["name"].startswith("agentcore-seccomp-")]  # fmt: skip
    expected = rendered_files()
    assert set(config["data"]) == {name for name in expected if name.endswith(".json")}
    for name, text in config["data"].items():
        assert json.loads(text) == json.loads(expected[name])


def test_the_operators_rules_are_the_alerts() -> None:
    alerts = yaml.safe_load((files.ROOT / files.ALERTS).read_text())
    rules = yaml.safe_load((files.HERE / files.RULES).read_text())
    assert rules["spec"] == alerts


def test_profiles_are_copied_whole_and_over_old_ones(tmp_path: Path) -> None:
    source, node = tmp_path / "profiles", tmp_path / "node"
    (source / "..data").mkdir(parents=True)
    node.mkdir()
    # As a mounted ConfigMap looks: links into a folder that is swapped.
    (source / "..data" / "a.json").write_text("{}")
    (source / "a.json").symlink_to("..data/a.json")
    (node / "a.json").write_text("old")
    subprocess.run([sys.executable, INSTALLER, source, node], check=True, timeout=30)
    assert {it.name: it.read_text() for it in node.iterdir()} == {"a.json": "{}"}


def test_the_copier_runs_that_script_on_the_kubelets_folder() -> None:
    spec = one(rendered("node-profiles"), "DaemonSet", "agentcore-node-profiles")["spec"]
    (copy,) = spec["template"]["spec"]["initContainers"]
    mounts = {it["mountPath"]: it["name"] for it in copy["volumeMounts"]}
    assert copy["command"] == ["python", "/installer/install.py", "/profiles", "/node"]
    assert mounts == {"/profiles": "profiles", "/installer": "installer", "/node": "node"}


def finding(resource: str) -> Finding:
    return Finding(check="CKV_1", target="production", resource=resource, name="words")


def test_a_finding_without_an_explanation_is_a_problem() -> None:
    entry = Accepted(check="CKV_1", where=("production/Job/*",), why="because")
    found = [finding("Job/a"), finding("Deployment/b")]
    assert judge(found, [entry]) == ["CKV_1 production/Deployment/b: words"]
    assert judge(found[:1], [entry]) == []


def test_an_explanation_without_a_finding_is_a_problem() -> None:
    entry = Accepted(check="CKV_1", where=("production/Job/*", "production/Pod/*"), why="because")
    assert judge([finding("Job/a")], [entry]) == [
        "CKV_1 production/Pod/*: explained, and not found any more"
    ]
