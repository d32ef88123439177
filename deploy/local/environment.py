"""The environment of each process of the stack: what it needs, and no secret beyond that."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.images import SANDBOX_IMAGE
from deploy.local.roles import APP
from deploy.local.secrets import SecretStore
from deploy.local.services import Services

DATABASE_URL = "AGENTCORE_DATABASE_URL"
OWNER_URL = "AGENTCORE_DATABASE_OWNER_URL"
APP_ROLE = "AGENTCORE_DATABASE_APP_ROLE"
BROKER_URL = "AGENTCORE_BROKER_URL"
FLOWER_USER = "AGENTCORE_FLOWER_USER"
FLOWER_PASSWORD = "AGENTCORE_FLOWER_PASSWORD"  # noqa: S105 - the variable's name
DEFAULT_FLOWER_USER = "agentcore"
DRAIN = "AGENTCORE_DRAIN_SECONDS"
DRAIN_SECONDS = 30.0  # the setting's default
LONGEST_DRAIN_SECONDS = 3600.0  # the most that the setting takes
STOP_SLACK_SECONDS = 20.0  # above the 15 of worker/shutdown.py, within which a worker ends


def is_given(environ: Mapping[str, str], variable: str) -> bool:
    """Whether `variable` is set, itself or as a file that holds its value."""
    return bool(environ.get(variable) or environ.get(f"{variable}_FILE"))


def stop_seconds(environ: Mapping[str, str], *, folder: Path) -> float:
    """Return how long processes with this environment may take to stop, in seconds.

    The worker is the slowest: it lets executions finish. `folder` is the one the processes run
    in, where the relative name of a file starts. A value that no worker starts with counts as none.
    """
    text, file = environ.get(DRAIN), environ.get(f"{DRAIN}_FILE")
    try:
        if not text and file:
            text = (folder / file).read_text(encoding="utf-8")
        drain = float(text or DRAIN_SECONDS)
    except (OSError, ValueError):
        drain = DRAIN_SECONDS
    # Asked this way round, `nan` counts as none too.
    known = drain if 0 <= drain <= LONGEST_DRAIN_SECONDS else DRAIN_SECONDS
    return known + STOP_SLACK_SECONDS


def base_environment(environ: Mapping[str, str], services: Services, state: Path) -> dict[str, str]:
    """Return what every process gets: `environ`, completed by the embedded servers' addresses.

    What is already set wins. The owner's URL and Flower's password are not in it.
    """
    defaults = {
        "AGENTCORE_SANDBOX_IMAGES": json.dumps({"python": SANDBOX_IMAGE}),
        # Each checkout sweeps its own containers only, also when two share one engine.
        "AGENTCORE_DEPLOYMENT": f"local-{hashlib.sha256(str(state).encode()).hexdigest()[:8]}",
        "PYTHONUNBUFFERED": "1",
    }
    hidden = {OWNER_URL, f"{OWNER_URL}_FILE", FLOWER_USER, FLOWER_PASSWORD}
    merged = defaults | {name: value for name, value in environ.items() if name not in hidden}
    if services.postgres is not None:
        merged[DATABASE_URL] = services.postgres.app_url
    if services.valkey is not None:
        merged[BROKER_URL] = services.valkey.url
    # `python` and `agentcore` in `deploy.local run` are this environment's own.
    scripts = str(Path(sys.executable).parent)
    merged["PATH"] = os.pathsep.join([scripts, merged.get("PATH", os.defpath)])
    return merged


def owner_environment(environ: Mapping[str, str], services: Services) -> dict[str, str]:
    """Return what the migrations get on top: the role that owns the tables."""
    if services.postgres is not None:
        return {OWNER_URL: services.postgres.owner_url, APP_ROLE: APP}
    return {name: environ[name] for name in (OWNER_URL, f"{OWNER_URL}_FILE") if name in environ}


def flower_environment(environ: Mapping[str, str], secrets: SecretStore) -> dict[str, str]:
    """Return what Flower gets on top: its user and password, generated unless set."""
    return {
        FLOWER_USER: environ.get(FLOWER_USER) or DEFAULT_FLOWER_USER,
        FLOWER_PASSWORD: environ.get(FLOWER_PASSWORD) or secrets.get("flower"),
    }
