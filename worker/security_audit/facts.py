"""Everything that the checks look at; gathered once by `collect`, and changed by nobody."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.sandbox import SandboxConfig
from models.settings import Settings

NO_ENGINE = "no engine answers"
SEE_ENGINE = "see section 1"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What the container engine says about itself.

    security_options: name to its parameters, as in {"seccomp": "profile=default", "userns": ""}.
    """

    version: str
    cgroup_version: str
    security_options: dict[str, str]
    live_restore: bool


@dataclass(frozen=True, kw_only=True)
class EngineAccess:
    """How this process reaches the engine: DOCKER_HOST and DOCKER_TLS_VERIFY, or the defaults."""

    address: str
    tls: bool

    @property
    def socket(self) -> Path | None:
        """The Unix socket, None where the engine is reached otherwise."""
        scheme, _, path = self.address.partition("://")
        return Path(path) if scheme == "unix" else None


@dataclass(frozen=True, kw_only=True)
class AppArmor:
    """The kernel's AppArmor. `loaded`: profile name to mode; None where it cannot be read."""

    kernel_enabled: bool
    loaded: dict[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Process:
    """This process. `effective`: its capabilities in effect, without CAP_."""

    uid: int
    effective: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PathFacts:
    """One path whose permissions matter.

    mode: its permission bits, None where it does not exist or cannot be looked at.
    owner: user and group, as in "root:docker".
    secret: whether it holds a secret.
    reachable: whether every folder above lets any user through.
    mounted: whether it is a mount of its own, so that its real parents are out of sight.
    open_parents: folders above it in which any user may replace what is in them.
    """

    name: str
    path: Path
    mode: int | None
    owner: str = ""
    secret: bool = False
    reachable: bool = True
    mounted: bool = False
    open_parents: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DirectoryFacts:
    """A directory of rendered profiles. `problems`: each one line, naming the file."""

    name: str
    path: Path
    exists: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SandboxFacts:
    """One sandbox that was started under `profile` and ended before any program ran.

    isolation: as `worker.sandbox.isolation.describe` returns it; None where it was not read.
    seconds: from the order to start until it had reported.
    error: why it is of no use, in words; empty where it is.
    """

    profile: str
    spec: SandboxConfig | None
    isolation: dict[str, Any] | None
    seconds: float = 0
    error: str = ""
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All of them.

    engine: None where none answers; engine_error then says why.
    seccomp_actions: what the kernel's filters can do; empty where it has no filters.
    """

    settings: Settings
    access: EngineAccess
    engine: Engine | None
    engine_error: str
    apparmor: AppArmor
    seccomp_actions: tuple[str, ...]
    process: Process
    paths: tuple[PathFacts, ...]
    directories: tuple[DirectoryFacts, ...]
    sandboxes: tuple[SandboxFacts, ...]
