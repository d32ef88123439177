"""Tells what the services that did not come up wrote last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import docker
from docker.errors import APIError, DockerException

from deploy.progress import console

TIMEOUT_SECONDS = 30
LINES = 15  # of each service's log


def tell(project: str) -> None:
    """Print the last lines of each service of `project` that failed or is unwell."""
    with suppress(DockerException, OSError):  # why Compose failed has been told already
        for title, lines in last_words(project):
            console.print(f"\n{title}", markup=False)
            console.print(lines.rstrip() or "  (it has written nothing)", markup=False)


def last_words(project: str) -> Iterator[tuple[str, str]]:
    """Yield name and state of each service that is not well, and what it wrote last."""
    labels = [f"com.docker.compose.project={project}", "com.docker.compose.oneoff=False"]
    client = docker.from_env(timeout=TIMEOUT_SECONDS)
    try:
        for item in client.containers.list(
            all=True, filters={"label": labels}, ignore_removed=True
        ):
            problem = problem_of(item.attrs)
            if problem is None:
                continue
            with suppress(APIError):  # gone meanwhile
                name = item.labels["com.docker.compose.service"]
                yield f"{name}: {problem}", item.logs(tail=LINES).decode(errors="replace")
    finally:
        client.close()


def problem_of(attributes: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a container as the engine describes it, None if nothing is."""
    state, starts = attributes["State"], attributes["RestartCount"]
    health = (state.get("Health") or {}).get("Status")
    if state["Status"] in ("exited", "dead") and state["ExitCode"] != 0:
        return f"exit code {state['ExitCode']}"
    if health == "unhealthy":
        return "unhealthy"
    if starts and (state["Status"] == "restarting" or health == "starting"):
        return f"started {starts + 1} times"
    return None
