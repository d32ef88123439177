"""`.env`, which Compose reads itself: people's part, and ours below a mark."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from deploy.stackimages import SERVICES

MARK = "# Below: facts of this host, written anew by `make compose-up`. Lines above win."
# All that `write` is ever given. Other lines below the mark were added by people.
OURS = frozenset({"DOCKER_GROUP_ID", "AGENTCORE_VOLUMES", "AGENTCORE_SECRETS_HASH", *SERVICES})
LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$")
QUOTED = re.compile(r"""(["'])(.*)\1""")


def parse(text: str) -> dict[str, str]:
    """Return the variables that the lines of `text` set; the later wins. Nothing is filled in."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := LINE.match(line):
            name, value = match.groups()
            quoted = QUOTED.match(value)
            found[name] = quoted[2] if quoted else re.split(r"\s#", f" {value}")[0].strip()
    return found


def asked(path: Path) -> dict[str, str]:
    """Return what people set: in the shell, which wins, or in their part of `path`."""
    return {
        name: value for name, value in {**parse(_parts(path)[0]), **os.environ}.items() if value
    }


def written(path: Path) -> dict[str, str]:
    """Return what `write` wrote to `path` the last time."""
    return parse(_parts(path)[1])


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write `values`, which OURS names, to the end of `path`, over those of before.

    What people set there wins, and goes above the mark if it is below.
    """
    own, _ = _parts(path)
    taken = parse(own)
    lines = [f"{name}={value}" for name, value in values.items() if name not in taken]
    parts = [own, MARK, *lines] if own else [MARK, *lines]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _parts(path: Path) -> tuple[str, str]:
    """Return people's part of a file and ours; of a file that is not there, nothing."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    own, _, below = text.partition(MARK)
    lines = [line for line in below.splitlines() if line.strip()]
    added = [line for line in lines if not parse(line).keys() & OURS]
    ours = [line for line in lines if line not in added]
    return "\n".join([own.rstrip("\n"), *added]).strip("\n"), "\n".join(ours)
