"""The embedded pair: PostgreSQL and Valkey, started together. Tests use it as the stack does."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.local.postgres import NOT_DURABLE, EmbeddedPostgres
from deploy.local.processes import ProcessStatus
from deploy.local.secrets import SecretStore
from deploy.local.valkey import EmbeddedValkey


@dataclass(frozen=True, kw_only=True)
class Services:
    """Both servers of one folder; a part that is served from elsewhere is None."""

    postgres: EmbeddedPostgres | None
    valkey: EmbeddedValkey | None

    def start(self) -> None:
        """Start what is down; raises `ServiceStartError`."""
        for part in (self.postgres, self.valkey):
            if part is not None:
                part.start()

    def stop(self) -> None:
        """Stop what runs."""
        for part in (self.valkey, self.postgres):
            if part is not None:
                part.stop()

    def status(self) -> list[ProcessStatus]:
        """Return what is known of each embedded server."""
        parts = (("postgres", self.postgres), ("valkey", self.valkey))
        return [_status(name, part) for name, part in parts if part is not None]


def embedded_services(
    directory: Path, *, durable: bool, postgres: bool = True, valkey: bool = True
) -> Services:
    """Describe the pair that lives in `directory`, without starting it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets = SecretStore(directory / "secrets.json")
    options = {} if durable else NOT_DURABLE
    return Services(
        postgres=EmbeddedPostgres(directory / "postgres", secrets=secrets, options=options)
        if postgres
        else None,
        valkey=EmbeddedValkey(directory / "valkey", secrets=secrets, durable=durable)
        if valkey
        else None,
    )


def start_services(directory: Path, *, durable: bool) -> Services:
    """Start the pair in `directory`; the caller stops it. `durable=False` is for tests.

    Raises `ServiceStartError` with one line when a server does not come up.
    """
    services = embedded_services(directory, durable=durable)
    with ExitStack() as undo:
        undo.callback(services.stop)
        services.start()
        undo.pop_all()
    return services


def _status(name: str, part: EmbeddedPostgres | EmbeddedValkey) -> ProcessStatus:
    handle = part.handle()
    # A server whose process lives but whose socket is gone serves nobody.
    state = "running" if part.is_running() else "dead" if handle else "stopped"
    return ProcessStatus(
        name=name,
        state=state,
        pid=handle.pid if handle else None,
        uptime_seconds=round(handle.age_seconds(), 1) if handle else None,
        log=str(part.log),
    )
