"""From a request to what will be in force: a pure function of the request and the settings.

The API calls it before it accepts a request; the worker calls it again with its own settings,
so that a worker with lower ceilings refuses what it must not run.
"""

from typing import Any

from pydantic import Field, ValidationError

from models.agent import AgentConfig, Runnable
from models.batch import StandardInput
from models.customise import customise
from models.errors import RequestRefusedError
from models.execution import ExecutionRequest
from models.limits import EffectiveLimits, NetworkAccess, tighter
from models.network import resolve_network
from models.security import SecurityProfile, named_profile
from models.settings import Settings
from models.state import PhilosophyExecutionContext
from models.types import Contract

_MERGED = ("environment", "resource_limits", "execution_limits", "security_options")


class ResolvedRequest(Runnable, StandardInput):
    """A request with its stored agent merged in: all that is needed to run it."""

    context: PhilosophyExecutionContext | None = None


class Effective(Contract):
    """What will be in force for a resolved request."""

    profile: SecurityProfile
    limits: EffectiveLimits
    network_access: NetworkAccess
    restricted_python: bool
    image: str = Field(description="The catalogue name")
    image_reference: str = Field(description="What the container engine is asked for")


def merge_agent(request: ExecutionRequest, agent: AgentConfig | None) -> ResolvedRequest:
    """Put the request over the agent's configuration.

    Raises RequestRefusedError when the tool does not exist or both together break a rule.
    """
    given = request.model_dump(
        mode="json", exclude_unset=True, include=set(ResolvedRequest.model_fields)
    )
    # An explicit null says nothing, as leaving the field out does.
    own = _without_null(given)
    for name in _MERGED:
        if name in own:
            own[name] = _without_null(own[name])
    if agent is None:
        return ResolvedRequest.model_validate(own)
    fields = agent.model_dump(mode="json", exclude_unset=True, include=set(Runnable.model_fields))
    merged: dict[str, Any] = fields | own
    for name in _MERGED:
        if name in fields and name in own:
            merged[name] = fields[name] | own[name]
    if request.tool is not None:
        merged |= _tool_program(request, agent)
        merged.pop("command", None)
    elif agent.source is None and agent.command is None:
        raise RequestRefusedError("tool", "this agent has only tools: name one of them")
    if request.context is not None and request.context.philosophy is None:
        merged["context"]["philosophy"] = agent.philosophy
    return _validated(merged)


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def stored_request(stored: dict[str, Any]) -> ResolvedRequest:
    """Read a request back from its row. Raises RequestRefusedError when rules have changed."""
    try:
        return ResolvedRequest.model_validate(stored)
    except ValidationError as error:
        raise RequestRefusedError("request", f"no longer accepted: {_first(error)}") from error


def stored_agent(stored: dict[str, Any]) -> AgentConfig:
    """Read an agent back from its row. Raises RequestRefusedError when rules have changed."""
    try:
        return AgentConfig.model_validate(stored)
    except ValidationError as error:
        message = f"its stored configuration is no longer accepted: {_first(error)}"
        raise RequestRefusedError("agent", message) from error


def _first(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"


def _validated(merged: dict[str, Any]) -> ResolvedRequest:
    try:
        return ResolvedRequest.model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "agent"
        raise RequestRefusedError(
            field, f"together with the agent's configuration: {first['msg']}"
        ) from error


def _tool_program(request: ExecutionRequest, agent: AgentConfig) -> dict[str, Any]:
    assert request.tool is not None  # noqa: S101 - the caller has checked
    for tool in agent.tools:
        if tool.name == request.tool.name:
            arguments = request.tool.model_dump_json(include={"arguments"})
            stdin = arguments.removeprefix('{"arguments":').removesuffix("}")
            return {"source": tool.source, "stdin": stdin, "stdin_encoding": "utf-8"}
    names = ", ".join(tool.name for tool in agent.tools) or "none"
    raise RequestRefusedError("tool.name", f"the agent has no such tool; it has: {names}")


def resolve(request: ResolvedRequest, settings: Settings) -> Effective:
    """Return what will be in force. Raises RequestRefusedError naming field and limit."""
    _check_ceilings(request, settings)
    named = "security_profile" in request.model_fields_set
    profile_name = request.security_profile if named else settings.default_profile
    if profile_name not in settings.allowed_profiles:
        allowed = ", ".join(settings.allowed_profiles)
        raise RequestRefusedError("security_profile", f"not enabled here; enabled are: {allowed}")
    reference = settings.sandbox_images.get(request.image)
    if reference is None:
        known = ", ".join(sorted(settings.sandbox_images))
        raise RequestRefusedError("image", f"not in the catalogue; it has: {known}")
    profile = customise(named_profile(profile_name), request.security_options, settings)
    limits = _limits(request, settings)
    _check_files_fit(request, limits)
    return Effective(
        profile=profile,
        limits=limits,
        network_access=resolve_network(
            request.resource_limits, request.allowed_hosts, profile, settings
        ),
        restricted_python=_restricted_python(request, profile),
        image=request.image,
        image_reference=reference,
    )


def _check_ceilings(request: ResolvedRequest, settings: Settings) -> None:
    resource, execution = request.resource_limits, request.execution_limits
    seconds = settings.ceiling_execution_time_seconds
    descriptors = settings.ceiling_file_descriptors
    checks = (
        (resource, "max_memory_mb", settings.ceiling_memory_mb),
        (resource, "max_cpu_cores", settings.ceiling_cpu_cores),
        (resource, "max_execution_time_seconds", seconds),
        (resource, "max_file_descriptors", descriptors),
        (resource, "storage_quota_mb", settings.ceiling_storage_mb),
        (execution, "max_memory_mb", settings.ceiling_memory_mb),
        (execution, "max_cpu_percent", settings.ceiling_cpu_cores * 100),
        (execution, "max_execution_time_seconds", seconds),
        (execution, "max_processes", settings.ceiling_processes),
        (execution, "max_file_descriptors", descriptors),
        (execution, "max_network_requests", settings.ceiling_network_requests),
        (request, "max_attempts", settings.ceiling_attempts),
    )
    for model, name, ceiling in checks:
        # Only what was asked for: a ceiling below a default lowers the default in silence.
        if name in model.model_fields_set and getattr(model, name) > ceiling:
            group = {id(resource): "resource_limits.", id(execution): "execution_limits."}
            raise RequestRefusedError(
                f"{group.get(id(model), '')}{name}",
                f"{getattr(model, name):.15g} is above the operator's ceiling of {ceiling:.15g}",
            )


def _limits(request: ResolvedRequest, settings: Settings) -> EffectiveLimits:
    limits = tighter(request.resource_limits, request.execution_limits)
    return EffectiveLimits(
        memory_mb=min(limits.memory_mb, settings.ceiling_memory_mb),
        cpu_cores=min(limits.cpu_cores, settings.ceiling_cpu_cores),
        execution_time_seconds=min(
            limits.execution_time_seconds, settings.ceiling_execution_time_seconds
        ),
        processes=min(limits.processes, settings.ceiling_processes),
        file_descriptors=min(limits.file_descriptors, settings.ceiling_file_descriptors),
        storage_mb=min(limits.storage_mb, settings.ceiling_storage_mb),
        network_requests=min(limits.network_requests, settings.ceiling_network_requests),
    )


def _check_files_fit(request: ResolvedRequest, limits: EffectiveLimits) -> None:
    size = len((request.source or "").encode()) + len(request.stdin_data)
    size += sum(len(data) for data in request.inputs_data)
    size += sum(len(file.data) for file in request.files)
    # Files lie in memory and in the workspace's three quarters of the quota; half of either
    # leaves the program room to work.
    room = min(limits.memory_mb, limits.storage_mb) * 1024 * 1024 // 2
    if size > room:
        raise RequestRefusedError(
            "files", f"source, files and input are {size} bytes; these limits leave room for {room}"
        )


def _restricted_python(request: ResolvedRequest, profile: SecurityProfile) -> bool:
    """Whether RestrictedPython is on: a policy, never a security boundary."""
    if request.command is not None:
        if request.restricted_python:
            raise RequestRefusedError(
                "restricted_python", "needs source, not command: it checks Python source"
            )
        return False
    if request.restricted_python is None:
        return profile.restricted_python_default
    return request.restricted_python
