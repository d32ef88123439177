"""Committed files that are made from others, as kustomize reads nothing outside of its folder."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

_PROFILES = ("agentcore-minimal.json", "agentcore-standard.json")
COPIES = {
    "overlays/development/create_app_role.sh": "deploy/docker/create_app_role.sh",
    **{f"node-profiles/profiles/{it}": f"security_profiles/rendered/{it}" for it in _PROFILES},
}
RULES, ALERTS = "components/monitoring/rules.yaml", "deploy/monitoring/alerts.yaml"
_RULES_HEAD = """\
# Made from deploy/monitoring/alerts.yaml by `python -m deploy.kubernetes generate`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: agentcore
spec:
"""


def generated() -> dict[Path, str]:
    """Return the text of each file that is made from another, by its path."""
    made = {HERE / to: (ROOT / origin).read_text("utf-8") for to, origin in COPIES.items()}
    return made | {HERE / RULES: _rules((ROOT / ALERTS).read_text("utf-8"))}


def _rules(alerts: str) -> str:
    """Return Prometheus' own rules, which begin with `groups:`, as an object of its operator."""
    groups = alerts[alerts.index("groups:") :].splitlines()
    return _RULES_HEAD + "".join(f"  {line}".rstrip() + "\n" for line in groups)


def write() -> list[Path]:
    """Write them all; return their paths."""
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return list(generated())


def outdated() -> list[Path]:
    """Return those that are missing or not what they are made from."""
    return [path for path, text in generated().items() if _read(path) != text]


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None
