"""Calls of the container engine, and what their failures mean."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import structlog
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound

from models.sandbox import Outcome, SandboxConfig
from worker.sandbox import container
from worker.sandbox.errors import (
    AppArmorNotLoadedError,
    EngineUnavailableError,
    SandboxStartError,
)

log = structlog.get_logger()

REMOVAL_PAUSES = (0.02, 0.1, 0.5)  # seconds after each removal that the engine refused
ABANDONED = 70  # exit code of a supervisor whose input ended; see guest/supervisor.py


def inspect_running(api: APIClient, container_id: str) -> dict[str, Any]:
    """Return what the engine tells of a sandbox. Raises SandboxStartError if it cannot answer."""
    try:
        told: dict[str, Any] = api.inspect_container(container_id)
    except NotFound as error:
        raise SandboxStartError("the container was removed") from error
    if told["State"]["Paused"]:
        raise SandboxStartError("the container was paused")
    return told


def final_state(api: APIClient, container_id: str) -> dict[str, Any]:
    """Return the state of a sandbox whose stream ended without a report.

    Raises EngineUnavailableError when it was the connection that ended, and not the sandbox.
    """
    try:
        state: dict[str, Any] = api.inspect_container(container_id)["State"]
    except NotFound:
        return {}
    # The supervisor goes down when its input ends, and says so by its exit code.
    if state.get("Running") or state.get("ExitCode") == ABANDONED:
        raise EngineUnavailableError("the container engine broke the connection to the sandbox")
    return state


def remove_named(api: APIClient, label: str, prefix: str) -> None:
    """Remove every container with this label whose name begins so."""
    found = api.containers(all=True, filters={"label": label, "name": prefix})
    for item in found:
        if any(name.startswith(f"/{prefix}") for name in item["Names"]):
            remove(api, item["Id"])


def change_limits(api: APIClient, container_id: str, limits: dict[str, int]) -> None:
    """Change the limits of a running container, named as in the engine's API.

    Raises APIError when the engine refuses. The SDK's own call knows no PidsLimit.
    """
    client: Any = api
    answer = client._post_json(client._url("/containers/{0}/update", container_id), data=limits)
    client._raise_for_status(answer)


def remove(api: APIClient, container_id: str) -> bool:
    """Remove a container now; return whether this call did.

    What fails is left to the sweep, as no outcome may be lost.
    """
    failure: Exception | None = None
    for pause in REMOVAL_PAUSES:
        try:
            api.remove_container(container_id, v=True, force=True)
            return True
        except NotFound:
            return False
        except APIError as error:
            # It ended just as the engine went to kill it, or another removes it right now.
            failure = error
            time.sleep(pause)
        except requests.exceptions.RequestException as error:
            failure = error
            break
    log.warning("container_not_removed", container=container_id[:12], error=str(failure))
    return False


def start_error(spec: SandboxConfig, said: str) -> SandboxStartError:
    """Return the error that the engine's words at a failed start mean."""
    if "apparmor" in said.lower():
        name = container.apparmor_name(spec.profile)
        return AppArmorNotLoadedError(f"AppArmor: {name} asked, but the kernel does not have it")
    return SandboxStartError(f"the container did not start: {said}")


@contextmanager
def engine_errors(so_far: Outcome | None = None) -> Iterator[None]:
    """Turn whatever the engine's client raises into EngineUnavailableError, with `so_far`."""
    try:
        yield
    except EngineUnavailableError as error:
        error.so_far = error.so_far or so_far
        raise
    except (requests.exceptions.RequestException, DockerException) as error:
        raise EngineUnavailableError(f"the container engine failed: {error}", so_far) from error
