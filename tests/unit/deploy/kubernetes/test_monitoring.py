"""Alerts, the dashboard and the monitors use what there is: metrics, labels, words, ports."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from api.readiness import PARTS
from api.routes import health
from deploy.kubernetes.files import ALERTS, ROOT
from deploy.prepare import promtool
from models.status import Reason, Status
from tests.harness import missing
from tests.unit.deploy.kubernetes.manifests import (
    PROCESSES,
    Manifest,
    containers,
    of_kind,
    one,
    process,
    with_components,
)
from worker.janitor import MOVED
from worker.sandbox.egress import policy, reasons

FOLDER = ROOT / "deploy" / "monitoring"
RULES = yaml.safe_load((ROOT / ALERTS).read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
EXPRESSIONS = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in RULES),
    *(pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
      for panel in DASHBOARD["panels"] for target in panel["targets"]),
]  # fmt: skip
SUFFIXES = {"Histogram": ("_bucket", "_sum", "_count")}
ADDED = {"Histogram": {"le"}}
BY_PROMETHEUS = {"instance", "job"}
KINDS = ("Counter", "Gauge", "Histogram", "GaugeMetricFamily", "CounterMetricFamily")


def _metrics() -> dict[str, set[str]]:
    """Return the labels of every series that the two modules make, by its name."""
    found: dict[str, set[str]] = {}
    for module in ("api/metrics.py", "worker/metrics.py"):
        for node in ast.walk(ast.parse((ROOT / module).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KINDS:
                kind, name = node.func.id, node.args[0].value  # type: ignore[attr-defined]
                lists = [it for it in (*node.args[2:], *(k.value for k in node.keywords))
                         if isinstance(it, ast.List)]  # fmt: skip
                labels = {it.value for found_list in lists[:1] for it in found_list.elts}
                for suffix in SUFFIXES.get(kind, ("",)):
                    found[name + suffix] = labels | ADDED.get(kind, set())
    return found


METRICS = _metrics()
WORDS = {
    "status": {str(it) for it in Status},
    "reason": {str(it) for it in Reason} | {it for name, it in vars(reasons).items()
                                            if name.isupper() and isinstance(it, str)},
    "route": {route.path for route in health.router.routes} | {"/health.*"},
    "start": {"warm", "cold"},
    "what": {"expired", "released", "sent", "replies", *MOVED.values()},
    "part": set(PARTS),
}  # fmt: skip


def test_the_metrics_are_found() -> None:
    assert {"agentcore_executions", "agentcore_pool_target"} <= set(METRICS)
    assert METRICS["agentcore_sandbox_ready_seconds_bucket"] == {"start", "le"}
    assert METRICS["agentcore_executions"] == {"status"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_use_series_labels_and_words_that_there_are(expression: str) -> None:
    used = list(_selectors(expression))
    assert used
    labels = set().union(*(METRICS[name] for name, _ in used))
    for name, matchers in used:
        for label, value in matchers:
            assert label in METRICS[name], f"{name} has no label {label}"
            _check_words(name, label, value)
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {it.strip() for it in group.split(",")} <= labels | BY_PROMETHEUS


def _check_words(name: str, label: str, value: str) -> None:
    if name.startswith("agentcore_http") and label == "status":
        assert re.fullmatch(r"[2-5](\d\d|\.\.)", value)
        return
    known = WORDS.get(label, set())
    if label == "reason":
        known = known | set(re.findall(r'"(\w+)"', Path(policy.__file__).read_text()))
    assert set(value.split("|")) <= known, f"{label}={value}"


def _selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for name, matchers in re.findall(r"\b(agentcore_\w+)(?:\{([^}]*)\})?", expression):
        yield name, re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', matchers)


def test_every_alert_says_how_bad_it_is_and_what_it_means() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_every_alert_is_tried_on_series() -> None:
    text = (FOLDER / "alerts.test.yaml").read_text()
    for rule in RULES:
        quiet = f"alertname: {rule['alert']}, exp_alerts: []"
        assert quiet in text
        assert text.count(rule["alert"]) > 1, "and on one that sets it off"


def test_alerts_behave_as_they_are_meant_to() -> None:
    for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        _promtool(*command, folder=FOLDER)


def test_the_dashboards_expressions_are_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": item.values[0].replace("$__rate_interval", "5m")}
        for number, item in enumerate(EXPRESSIONS)
    ]
    rules_file = tmp_path / "rules.yaml"
    rules_file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    _promtool("check", "rules", rules_file.name, folder=tmp_path)


def test_the_part_that_is_missing_is_told() -> None:
    rule = _rule("AgentCoreNotReady")
    assert "{{ $labels.part }}" in rule["annotations"]["summary"]
    for part in PARTS:
        assert f"`{part}`" in rule["annotations"]["description"]


def test_the_sweeps_losses_are_told_with_the_reason_that_it_records() -> None:
    assert f'"reason", "{Reason.WORKER_LOST}"' in _rule("AgentCoreExecutionsLost")["expr"]


def test_a_backlog_of_one_tenant_is_named_as_a_cause_of_long_waits() -> None:
    assert "its tenant's own share" in _rule("AgentCoreOldWait")["annotations"]["description"]


def _rule(name: str) -> Manifest:
    (found,) = [rule for rule in RULES if rule["alert"] == name]
    return found


# Series of an hour, a sample a minute, and what a panel makes of them at its end.
PANELS = [
    ("Ready", {'agentcore_ready{instance="a", part="broker"}': "1x60",
               'agentcore_ready{instance="b", part="broker"}': "0x60"}, 1),
    ("Ready", {'agentcore_ready{instance="a", part="broker"}': "1x60",
               'agentcore_ready{instance="a", part="sweep"}': "0x60"}, 0),
    ("Ready", {}, 0),
    ("Lost in 24 h", {}, 0),
    # Two kinds of loss, each born with its first.
    ("Lost in 24 h", {'agentcore_worker_outcomes_total{status="lost", reason="x"}': "_x40 1x20",
                      'agentcore_swept_total{what="lost"}': "_x40 2x20",
                      'agentcore_swept_total{what="expired"}': "_x40 5x20"}, 3),
]  # fmt: skip


@pytest.mark.parametrize(("title", "series", "shown"), PANELS)
def test_panels_show_what_they_say(
    title: str, series: dict[str, str], shown: int, tmp_path: Path
) -> None:
    (expression,) = [panel["targets"][0]["expr"] for panel in DASHBOARD["panels"]
                     if panel["title"] == title]  # fmt: skip
    wanted = {"expr": f"sum({expression})", "eval_time": "60m",
              "exp_samples": [{"labels": "{}", "value": shown}]}  # fmt: skip
    given = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": given, "promql_expr_test": [wanted]}
    (tmp_path / "panel.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    _promtool("test", "rules", "panel.yaml", folder=tmp_path)


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def _promtool(*command: str, folder: Path) -> None:
    program = promtool()
    if program is None:
        missing("no promtool (`python -m deploy.prepare --tests` brings it)")
    done = subprocess.run(
        [program, *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_asks_whichever_prometheus_is_chosen() -> None:
    assert [it["type"] for it in DASHBOARD["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"


def test_monitors_find_ports_that_there_are(tmp_path: Path) -> None:
    objects = with_components(tmp_path, "monitoring")
    service = one(objects, "Service", "agentcore-api")
    monitor = one(objects, "ServiceMonitor", "agentcore-api")["spec"]
    assert _matches(monitor, service["metadata"]["labels"])
    assert monitor["endpoints"][0]["port"] in [it["name"] for it in service["spec"]["ports"]]
    watched = {it["metadata"]["name"] for it in of_kind(objects, "PodMonitor")}
    assert watched == {"agentcore-worker", "agentcore-control"}
    for name in watched:
        workload = one(objects, "Deployment", name)
        pods = one(objects, "PodMonitor", name)["spec"]
        assert _matches(pods, workload["spec"]["template"]["metadata"]["labels"])
        offered = [it["name"] for it in containers(workload)[0]["ports"]]
        assert pods["podMetricsEndpoints"][0]["port"] in offered


def test_the_documents_say_who_is_watched_and_probed() -> None:
    text = " ".join((ROOT / "docs/kubernetes.md").read_text().split())
    bare = [name for name in PROCESSES if not _has_probes(name)]
    assert bare == ["beat", "migrate"]
    assert "Beat has no metrics and no probes" in text
    assert "the metrics of workers and control from `monitoring`" in text


def _has_probes(name: str) -> bool:
    (container,) = containers(process("production", name))
    return {"livenessProbe", "readinessProbe"} <= set(container)


def _matches(monitor: Manifest, labels: dict[str, str]) -> bool:
    return monitor["selector"]["matchLabels"].items() <= labels.items()
