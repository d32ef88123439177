"""`python -m deploy.settings_table`: docs/settings.md, made from the settings themselves."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deploy.entry import run_main
from models.settings import PREFIX, Settings

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
# Each heading, and the first setting below it.
GROUPS = {
    "debug": "Application",
    "database_url": "Database",
    "broker_url": "Broker",
    "deployment": "Worker",
    "tenant_max_running": "Shares: the same for all processes",
    "retention_days": "Retention",
    "sandbox_images": "Sandboxes",
    "pool_size": "Warm pool",
    "allowed_profiles": "Security",
    "egress_ceiling": "Egress: what sandboxes with a restricted network reach",
    "ceiling_memory_mb": "Ceilings that no request may pass",
    "metrics_enabled": "Monitoring",
    "flower_host": "Flower",
    "kubernetes_namespace": "Kubernetes",
}
HEAD = f"""# Settings

<!-- Made by `python -m deploy.settings_table` from models/settings.py; change it there. -->

Each is an environment variable, the same for every process unless it says otherwise. With `_FILE`
at the end of its name the value is read from that file, which is the way for secrets:
`{PREFIX}BROKER_URL_FILE=/run/secrets/broker_url`; where both are set, the plain one holds. A wrong
value stops the process with a line that names the variable, and `python -m worker settings` only
checks them. An unknown name is a warning in the log. The local stack also has `{PREFIX}STATE_DIR`,
by default `.state`.
"""
SIGNS = ((Ge, "ge", "from"), (Gt, "gt", "above"), (Le, "le", "to"), (Lt, "lt", "below"))


def render() -> str:
    """Return the document."""
    return HEAD + "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            yield from ("", f"## {GROUPS[name]}", "", "| variable | default | values | what |")
            yield "|---|---|---|---|"
        cells = (f"`{PREFIX}{name.upper()}`", _default(field), _values(field), _what(name, field))
        yield f"| {' | '.join(cells)} |"


def _what(name: str, field: FieldInfo) -> str:
    if not field.description:
        raise ValueError(f"{name} has no description")
    return field.description.replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return ""
    if isinstance(value, str | Path):
        return f"`{value}`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(value)}`"


def _values(field: FieldInfo) -> str:
    kinds = list(_kinds(field.annotation))
    words = [" or ".join(f"`{word}`" for word in get_args(kind)) for kind in kinds
             if get_origin(kind) is Literal]  # fmt: skip
    if SecretStr in kinds:
        words.append("secret")
    if any(get_origin(kind) in (list, tuple, dict) for kind in kinds):
        words.append("JSON")
    if bool in kinds:
        words.append("`true` or `false`")
    bounds = [
        f"{word} {getattr(item, attribute):g}" if getattr(item, attribute) < 10**6
        else f"{word} {getattr(item, attribute)}"
        for kind, attribute, word in SIGNS for item in field.metadata if isinstance(item, kind)
    ]  # fmt: skip
    return ", ".join([*words, *([" ".join(bounds)] if bounds else [])])


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield a type, and those of a union one by one; a name of ours stands for its words."""
    if get_origin(annotation) is not None and get_origin(annotation) not in (list, tuple, dict):
        if get_origin(annotation) is Literal:
            yield annotation
            return
        for inner in get_args(annotation):
            yield from _kinds(inner)
        return
    yield annotation


def main(argv: Sequence[str] | None = None) -> int:
    """Write the document, or with --check say whether it is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m deploy.settings_table", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a change")
    if not parser.parse_args(argv).check:
        DOCUMENT.write_text(render())
        print(f"wrote {DOCUMENT.name}")
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == render():
        return 0
    print("docs/settings.md: run `python -m deploy.settings_table`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(run_main(main))
