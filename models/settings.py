"""Settings from the environment, prefix AGENTCORE_; `NAME_FILE` reads a value from a file."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from models import urls
from models.errors import SettingsError
from models.security import AppArmorName, CapabilityName, LayerMode, ProfileName, SyscallName
from models.types import HostEntry

PREFIX = "AGENTCORE_"
NOT_OF_THE_PROCESSES = frozenset(
    f"{PREFIX}{name}"
    for name in ("API_KEY", "URL", "CLIENT_DEBUG", "STATE_DIR", "FAULT_POINT", "FAULT_MARKER")
)
"""Variables of the client, the local stack and the tests, which may stand in the environment."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path: the container engine is told it, too")
    return path


_OF_DATABASE = AfterValidator(
    urls.with_scheme(*urls.DATABASE, form="postgresql://user:password@host:port/database")
)
_OF_BROKER = AfterValidator(
    urls.with_scheme(
        *urls.REDIS,
        *urls.AMQP,
        form="redis://:password@host:port/number or amqp://user:password@host:port/vhost",
    )
)
_OF_REDIS = AfterValidator(urls.with_scheme(*urls.REDIS, form="redis://:password@host:port/number"))


class Settings(BaseSettings):
    """All settings of all processes; each process reads what it needs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it has the passwords
    )

    # Application
    debug: bool = Field(False, description="Human-readable logs, and an API that reloads its code")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged"
    )
    api_host: str = Field("127.0.0.1", description="Address the API binds to")
    api_port: int = Field(8002, ge=1, le=65_535, description="Port of the API")
    cors_origins: list[str] = Field(
        default_factory=list,
        description="Origins of browsers that may call the API; for development",
    )
    max_body_bytes: int = Field(12_582_912, ge=1024, description="Bytes of one request body")
    max_wait_seconds: float = Field(
        60, gt=0, le=600, description="Seconds of the longest long-poll"
    )

    # Database
    database_url: Annotated[SecretStr, _OF_DATABASE] = Field(
        description="`postgresql://…` of the application's role"
    )
    database_owner_url: Annotated[SecretStr | None, _OF_DATABASE] = Field(
        None, description="The same of the migrations' role, which owns the tables; unset: one role"
    )
    database_app_role: str | None = Field(
        None,
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="Role that the migrations grant rights to",
    )
    database_pool_size: int = Field(20, ge=1, le=500, description="Connections of one process")

    # Broker
    broker_url: Annotated[SecretStr, _OF_BROKER] = Field(
        description="Celery broker: Redis or Valkey with `noeviction`, or RabbitMQ (3.10 is "
        "tested); `rediss://` and `amqps://` are by TLS"
    )
    broker_ca_certificates: FilePath | None = Field(
        None,
        description="Certificates of who may vouch for a broker or result backend by TLS; unset: "
        "the system's",
    )
    result_backend_url: Annotated[SecretStr | None, _OF_REDIS] = Field(
        None,
        description="Redis or Valkey for the replies to agentcore.run; unset: the broker, which "
        "RabbitMQ cannot be",
    )
    celery_tenant: str = Field("default", description="Tenant of agentcore.run when it names none")

    # Worker
    deployment: str = Field(
        "default",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,62})$",
        description="Name on all containers; two deployments on one engine need different ones",
    )
    worker_slots: int = Field(8, ge=1, le=1000, description="Sandboxes one worker runs at once")
    lease_seconds: float = Field(30, ge=2, le=600, description="Life of a claim")
    heartbeat_seconds: float = Field(3, ge=0.1, le=60, description="Seconds between renewals")
    sweep_seconds: float = Field(5, ge=0.2, le=300, description="Seconds between two sweeps")
    resend_seconds: float = Field(
        15, ge=0.2, le=600, description="What is queued and unheard for so long is sent again"
    )
    max_failed_starts: int = Field(
        5, ge=1, le=1000, description="Starts that fail before giving up; an absent engine is none"
    )
    drain_seconds: float = Field(
        30, ge=0, le=3600, description="Seconds for what runs to end when its worker is stopped"
    )
    kill_grace_seconds: float = Field(
        0.5, ge=0.1, le=30, description="From asking a sandbox to end to removing it"
    )

    # Shares: the same for all processes
    tenant_max_running: int = Field(
        32,
        ge=1,
        le=100_000,
        description="Executions of one tenant that run or are about to; at least all slots where "
        "one tenant may use them all",
    )
    tenant_max_queued: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Queued executions of one tenant; more are refused (429)",
    )

    # Retention: the floors are the database's own (migration 0004)
    retention_days: float | None = Field(
        None, ge=1, le=36_500, description="Days that ended executions are kept; unset: for ever"
    )
    audit_retention_days: float | None = Field(
        None,
        ge=7,
        le=36_500,
        description="Days that audit trails are kept, those of deleted executions too; at least as "
        "many as above; unset: for ever",
    )

    # Container
    sandbox_images: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default_factory=lambda: {"python": "agentcore/sandbox:dev"},
        description="Catalogue name to image reference; nothing else can be run",
    )
    docker_timeout_seconds: float = Field(
        30, ge=1, le=600, description="Seconds of one call to the container engine"
    )
    max_output_bytes: int = Field(
        262_144, ge=1024, description="Bytes kept of each output stream, half head and half tail"
    )
    max_output_total_bytes: int = Field(
        1_073_741_824, ge=65_536, description="Bytes written by a program before it is ended"
    )
    max_batch_bytes: int = Field(
        67_108_864, ge=65_536, description="Bytes kept of all output and results of one batch"
    )
    max_artifacts: int = Field(64, ge=0, le=10_000, description="Artifacts kept of one execution")
    max_artifact_bytes: int = Field(8_388_608, ge=1024, description="Bytes of one artifact")
    max_artifacts_bytes: int = Field(33_554_432, ge=1024, description="Bytes of all of them")

    # Warm pool: sandboxes started ahead of their jobs, each used once
    pool_size: int = Field(
        4, ge=0, le=1000, description="Waiting for requests with all defaults, per worker"
    )
    pool_max: int = Field(
        16, ge=0, le=1000, description="Waiting for any requests, by demand; 0: no warm pool"
    )
    pool_memory_mb: int = Field(
        1024, ge=0, le=1_048_576, description="MiB that the waiting take together, 40 each"
    )
    pool_idle_seconds: float = Field(
        60, ge=1, le=86_400, description="What was not needed for so long is let go"
    )
    pool_max_age_seconds: float = Field(
        900, ge=1, le=86_400, description="A waiting sandbox is thrown away then"
    )

    # Security
    allowed_profiles: tuple[ProfileName, ...] = Field(
        ("minimal", "standard"),
        description="The profiles that requests may name",
    )
    default_profile: ProfileName = Field(
        "standard", description="Profile of requests that name none"
    )
    apparmor: LayerMode = Field(
        "prefer", description="`require`: refuse to run without the profile's AppArmor rules"
    )
    user_namespace: LayerMode = Field(
        "prefer", description="`require`: refuse to run where root in a sandbox is the host's root"
    )
    extra_syscalls: tuple[SyscallName, ...] = Field(
        (), description="Requests may add these too, dangerous ones named here included"
    )
    extra_capabilities: tuple[CapabilityName, ...] = Field(
        (), description="Requests may add these too, dangerous ones named here included"
    )
    extra_apparmor_profiles: tuple[AppArmorName, ...] = Field(
        (), description="Requests may choose these though they are weaker"
    )
    allow_writable_root: bool = Field(
        False, description="Requests under standard may ask for a writable root file system"
    )
    profile_directory: Path | None = Field(
        None, description="Where rendered profiles are for the hosts; never world-writable"
    )

    allow_full_network: bool = Field(
        False,
        description="Requests may ask for network_access=full, which nobody counts or audits",
    )
    full_network: LayerMode = Field(
        "prefer",
        description="`require`: refuse full where nothing shows that the host is closed to it",
    )

    # Egress: what sandboxes with a restricted network reach, through the worker's proxy
    egress_ceiling: tuple[HostEntry, ...] | None = Field(
        None,
        max_length=1000,
        description="What requests may list at most, `*` being every name; unset: "
        "anything public, and private networks; loopback and the like only when named here",
    )
    egress_deny: tuple[HostEntry, ...] = Field(
        (), max_length=1000, description="Never reached, whatever a request lists"
    )
    egress_max_connections: int = Field(
        32, ge=1, le=4096, description="Connections of one sandbox at once"
    )
    egress_max_bytes_up: int = Field(
        1_073_741_824, ge=1024, le=2**50, description="Bytes that one execution may send"
    )
    egress_max_bytes_down: int = Field(
        1_073_741_824, ge=1024, le=2**50, description="Bytes that one execution may receive"
    )
    egress_connect_seconds: float = Field(
        10, ge=0.1, le=120, description="To look up a name and connect"
    )
    egress_idle_seconds: float = Field(
        60, ge=0.5, le=3600, description="A connection that is silent for so long is closed"
    )
    egress_directory: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        None, description="Where the sandboxes' sockets are; unset: a private folder of the worker"
    )

    # Resources: ceilings that no request may pass
    ceiling_memory_mb: int = Field(2048, ge=32, description="MiB of memory")
    ceiling_cpu_cores: float = Field(2.0, ge=0.05, description="Cores")
    ceiling_execution_time_seconds: float = Field(
        900, ge=0.1, description="Seconds of one execution"
    )
    ceiling_processes: int = Field(256, ge=1, description="Processes")
    ceiling_file_descriptors: int = Field(4096, ge=16, description="Open files of a process")
    ceiling_storage_mb: int = Field(4096, ge=4, description="MiB of writable files")
    ceiling_network_requests: int = Field(10_000, ge=0, description="Connections of one execution")
    ceiling_attempts: int = Field(5, ge=1, description="Attempts that a request may allow")

    # Monitoring
    metrics_enabled: bool = Field(True, description="`/metrics` of the API")
    worker_metrics_host: str = Field(
        "127.0.0.1", description="Address of the metrics of workers and control"
    )
    worker_metrics_port: int | None = Field(
        None, ge=1, le=65_535, description="Each worker of a host needs its own; unset: none"
    )
    control_metrics_port: int | None = Field(
        None, ge=1, le=65_535, description="The same for a control process; unset: none"
    )
    flower_host: str = Field("127.0.0.1", description="Address Flower binds to")
    flower_port: int = Field(5555, ge=1, le=65_535, description="Port of Flower")
    flower_user: str | None = Field(
        None,
        pattern=r"^[^:]+$",
        description="Name to log in to Flower, which starts only with it and a password",
    )
    flower_password: SecretStr | None = Field(None, description="Its password")
    flower_control: bool = Field(
        False,
        description="Flower also submits tasks, shows results, stops and changes workers; its "
        "password is then worth as much as the broker's",
    )

    # Kubernetes
    kubernetes_namespace: str = Field(
        "agentcore-runtime", description="Where this deployment is, when it is in a cluster"
    )

    @property
    def in_cluster(self) -> bool:
        """Whether this process runs inside a Kubernetes pod."""
        return "KUBERNETES_SERVICE_HOST" in os.environ

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the files named by `AGENTCORE_<NAME>_FILE`, below the plain variables."""
        return (init_settings, env_settings, _FileSource(settings_cls))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("AGENTCORE_LEASE_SECONDS must be at least twice the heartbeat")
        if self.default_profile not in self.allowed_profiles:
            raise ValueError("AGENTCORE_DEFAULT_PROFILE must be one of AGENTCORE_ALLOWED_PROFILES")
        if self.audit_retention_days is not None and (
            self.retention_days is None or self.audit_retention_days < self.retention_days
        ):
            raise ValueError(
                "AGENTCORE_AUDIT_RETENTION_DAYS needs AGENTCORE_RETENTION_DAYS and must be at "
                "least as long: an audit trail outlives its execution"
            )
        return self


class _FileSource(EnvSettingsSource):
    """Reads variables from files, and then treats them as any other variable."""

    def _load_env_vars(self) -> dict[str, str | None]:
        return {
            variable.removesuffix("_FILE").lower(): _read(variable, path)
            for variable, path in os.environ.items()
            if variable.startswith(PREFIX) and variable.endswith("_FILE")
        }


def _read(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: cannot read {path}: {error}") from error


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that look like settings and are none, each with the one it resembles."""
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    found: dict[str, str | None] = {}
    for variable in sorted(environ):
        name = variable.removesuffix("_FILE")
        if variable.startswith(PREFIX) and name not in settings | NOT_OF_THE_PROCESSES:
            near = get_close_matches(name, settings, n=1, cutoff=0.8)
            found[variable] = near[0] if near else None
    return found


# Errors of pydantic where JSON was expected.
JSON_TYPES = ("tuple_type", "list_type", "dict_type")


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the settings once. Raises SettingsError naming the variable at fault."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            f"{_variable(item['loc'])}{item['msg'].removeprefix('Value error, ')}"
            f"{', written as JSON' if item['type'] in JSON_TYPES else ''}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("; ".join(problems)) from None
    except SourceError as error:
        field = re.search(r'field "(\w+)"', str(error))
        variable = f"{PREFIX}{field[1].upper()}" if field else str(error)
        raise SettingsError(f"{variable}: its value is not valid JSON") from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = ".".join(str(part) for part in location).upper()
    return f"{PREFIX}{name}: " if name else ""
