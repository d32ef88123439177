"""Gathers the facts: from the engine, the kernel, the file system, and real sandboxes."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException

from models.settings import Settings
from security_profiles import check_directory, loaded_profiles
from security_profiles.files import DIRECTORY_VARIABLE, RENDERED_DIRECTORY
from security_profiles.loading import KERNEL_SWITCH, LOADED
from worker.sandbox.isolation import capability_names
from worker.security_audit.facts import (
    AppArmor,
    DirectoryFacts,
    Engine,
    EngineAccess,
    Facts,
    Process,
)
from worker.security_audit.paths import path_facts
from worker.security_audit.sandboxes import sandbox_facts

Progress = Callable[[str], None]
"""Receives one short line about what is being done now."""

SECCOMP_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
STATUS = Path("/proc/self/status")
DEFAULT_SOCKET = "unix:///var/run/docker.sock"


def collect(settings: Settings, say: Progress) -> Facts:
    """Look at everything once; nothing that is missing raises."""
    access = engine_access(os.environ)
    say("the container engine")
    engine, engine_error = _engine(settings.docker_timeout_seconds)
    named = [("rendered profiles", RENDERED_DIRECTORY)]
    if settings.profile_directory is not None:
        named.append((DIRECTORY_VARIABLE, settings.profile_directory))
    return Facts(
        settings=settings,
        access=access,
        engine=engine,
        engine_error=engine_error,
        apparmor=apparmor_facts(),
        seccomp_actions=tuple((_text(SECCOMP_ACTIONS) or "").split()),
        process=Process(uid=os.geteuid(), effective=_effective_capabilities()),
        paths=path_facts(access.socket, os.environ, named),
        directories=tuple(directory_facts(name, path) for name, path in named),
        sandboxes=sandbox_facts(settings, say, engine_answers=engine is not None),
    )


def engine_access(environment: Mapping[str, str]) -> EngineAccess:
    """How the Docker SDK reaches the engine in this environment."""
    return EngineAccess(
        address=environment.get("DOCKER_HOST") or DEFAULT_SOCKET,
        tls=bool(environment.get("DOCKER_TLS_VERIFY")),
    )


def engine_facts(info: dict[str, Any]) -> Engine:
    """Read the engine's answer to `info`."""
    options = (
        option.removeprefix("name=").partition(",")[::2]
        for option in info.get("SecurityOptions") or []
    )
    return Engine(
        version=str(info.get("ServerVersion", "unknown")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        security_options=dict(options),
        live_restore=bool(info.get("LiveRestoreEnabled")),
    )


def apparmor_facts(switch: Path = KERNEL_SWITCH, loaded: Path = LOADED) -> AppArmor:
    """Read the kernel's AppArmor switch and its list of profiles, which is root's to read."""
    return AppArmor(kernel_enabled=_text(switch) == "Y", loaded=loaded_profiles(loaded))


def directory_facts(name: str, path: Path) -> DirectoryFacts:
    """Hold a profile directory against what the code renders."""
    try:
        exists, problems = path.is_dir(), tuple(check_directory(path))
    except OSError as error:
        exists, problems = False, (f"{path} cannot be looked at: {error.strerror}",)
    return DirectoryFacts(name=name, path=path, exists=exists, problems=problems)


def _engine(timeout: float) -> tuple[Engine | None, str]:
    try:
        client = docker.from_env(timeout=int(timeout))
        try:
            return engine_facts(client.info()), ""
        finally:
            client.close()
    except (requests.exceptions.RequestException, DockerException) as error:
        return None, str(error)


def _effective_capabilities() -> tuple[str, ...]:
    lines = (line.partition(":") for line in (_text(STATUS) or "").splitlines())
    masks = {key: value.strip() for key, _, value in lines}
    return tuple(capability_names(masks.get("CapEff", "")))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
