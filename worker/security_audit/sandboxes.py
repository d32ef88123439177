"""Starts one real sandbox per enabled profile and reads the isolation off it."""

import time
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import uuid4

from pydantic import ValidationError

from models.errors import RequestRefusedError
from models.execution import ExecutionRequest
from models.limits import NetworkAccess
from models.resolve import merge_agent, resolve
from models.sandbox import SandboxConfig, build_spec
from models.security import named_profile
from models.settings import Settings
from worker.sandbox.backend import Backend
from worker.sandbox.docker_backend import DockerBackend
from worker.sandbox.errors import (
    EngineUnavailableError,
    ImageUnavailableError,
    IsolationRefusedError,
    SandboxError,
    WeakerIsolationError,
)
from worker.security_audit.facts import NO_ENGINE, SEE_ENGINE, SandboxFacts

AUDIT_DEPLOYMENT = "{deployment}.audit"
"""On the containers. No deployment can be called so: the workers of this one would take a sandbox
that no execution knows for a leftover, and remove it while it is looked at."""

TIME_LIMIT = 10  # seconds until a sandbox of an interrupted audit may be removed; none needs more
IMAGE = "python"  # of the catalogue, where it has it


class _SeenEnough(Exception):
    """Ends the sandbox before it is given a program."""


def sandbox_facts(
    settings: Settings, say: Callable[[str], None], *, engine_answers: bool
) -> tuple[SandboxFacts, ...]:
    """Return the facts of every enabled profile, in the settings' order."""
    profiles = tuple(dict.fromkeys(settings.allowed_profiles))
    if not engine_answers:
        return tuple(_unknown(profile, NO_ENGINE, SEE_ENGINE) for profile in profiles)
    own = AUDIT_DEPLOYMENT.format(deployment=settings.deployment)
    backend = DockerBackend(settings.model_copy(update={"deployment": own}), "security-audit")
    found = []
    for profile in profiles:
        say(f"a sandbox under {profile}")
        found.append(look_inside(backend, settings, profile))
    _tidy(backend)
    return tuple(found)


def look_inside(backend: Backend, settings: Settings, profile: str) -> SandboxFacts:
    """Start a sandbox as for a request, read its isolation, end it; errors become facts."""
    try:
        spec = sandbox_spec(settings, profile)
    except (RequestRefusedError, ValidationError) as refused:
        return _unknown(profile, f"the settings refuse any request: {refused}", "change them")
    started = time.monotonic()
    seen: list[dict[str, Any]] = []
    error, advice = "", ""
    try:
        backend.run(spec, lambda isolation: _keep(seen, isolation))
    except _SeenEnough:
        pass
    except IsolationRefusedError as refusal:
        if "inside" in refusal.isolation:  # else the engine itself has refused
            seen.append(refusal.isolation)
        error, advice = str(refusal), "see sections 1 and 2"
    except WeakerIsolationError as weaker:
        seen.append(weaker.isolation)
        error, advice = _explain(weaker, spec.image_reference)
    except SandboxError as failure:
        error, advice = _explain(failure, spec.image_reference)
    return SandboxFacts(
        profile=profile,
        spec=spec,
        isolation=seen[0] if seen else None,
        seconds=time.monotonic() - started,
        error=error,
        advice=advice,
    )


def sandbox_spec(settings: Settings, profile: str) -> SandboxConfig:
    """Return the sandbox of a request that names the profile and leaves the rest to defaults.

    Raises RequestRefusedError when the settings refuse even that.
    """
    body: dict[str, Any] = {"source": "pass", "security_profile": profile}
    body["restricted_python"] = False
    if IMAGE not in settings.sandbox_images:
        body["image"] = next(iter(settings.sandbox_images), IMAGE)
    if named_profile(profile).network_default is NetworkAccess.FULL:
        body["resource_limits"] = {"network_access": NetworkAccess.NONE}
    ceiling = settings.ceiling_execution_time_seconds
    body["execution_limits"] = {"max_execution_time_seconds": min(TIME_LIMIT, ceiling)}
    request = merge_agent(ExecutionRequest.model_validate(body), None)
    return build_spec(uuid4(), 1, request, resolve(request, settings), settings)


def _keep(seen: list[dict[str, Any]], isolation: dict[str, Any]) -> NoReturn:
    seen.append(isolation)
    raise _SeenEnough


def _explain(failure: SandboxError, image: str) -> tuple[str, str]:
    if isinstance(failure, ImageUnavailableError):
        return (
            f"the engine does not have the image {image}",
            "run `make sandbox-image`, or name another in AGENTCORE_SANDBOX_IMAGES",
        )
    if isinstance(failure, EngineUnavailableError):
        return str(failure), "look at the engine's log"
    return str(failure), "until this is solved no execution starts under this profile"


def _unknown(profile: str, error: str, advice: str) -> SandboxFacts:
    return SandboxFacts(profile=profile, spec=None, isolation=None, error=error, advice=advice)


def _tidy(backend: Backend) -> None:
    """Remove what an audit that was killed has left; those that still run are within their time."""
    try:
        backend.sweep(lambda _execution, _attempt: True, lambda _worker: True)
    except EngineUnavailableError:
        return  # it answered a moment ago; the next audit tidies
