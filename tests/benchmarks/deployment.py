"""A whole deployment for benchmarks: the processes and settings of production, a database and a
broker of its own on servers that deployments share."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import docker
import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from deploy.local.containers import remove_containers
from deploy.local.roles import APP, OWNER
from deploy.local.services import Services
from models.settings import Settings
from tests.benchmarks.drivers.rest import Rest
from tests.harness import Stack, free_port, wait_until
from worker.sandbox.container import LABEL_DEPLOYMENT

PROCESSES = ("api", "run", "control", "beat")
SLOTS = 32  # of the one worker, and as many as the most clients at once
DEFAULTS = {
    # The harness shortens these for tests; production's own are measured.
    **{
        name: str(Settings.model_fields[name].default)
        for name in ("lease_seconds", "heartbeat_seconds", "sweep_seconds", "resend_seconds")
    },
    "pool_max": str(Settings.model_fields["pool_max"].default),
    "worker_slots": str(SLOTS),
    "tenant_max_running": "64",
    "drain_seconds": "2",
}


class Deployment(Stack):
    """A stack of the harness, with clients as benchmarks use them."""

    def __init__(
        self, services: Services, directory: Path, number: int, image: str, **settings: str
    ) -> None:
        directory.mkdir(parents=True)
        own = DEFAULTS | _places(services, number) | settings
        own["deployment"] = f"bench-{secrets.token_hex(4)}"
        own["sandbox_images"] = json.dumps({"python": image})
        own["worker_metrics_port"] = str(free_port())
        super().__init__(services, directory, image=image, **own)
        self.name = own["deployment"]
        self.broker_url = own["broker_url"]
        self.owner_url = own["database_owner_url"]
        self._metrics = f"http://127.0.0.1:{own['worker_metrics_port']}/metrics"
        self.key = ""

    def prepare(self) -> None:
        """Bring the database up to date, with a tenant and a key."""
        self.migrate()
        self.key = self.new_key("bench")

    def up(self, *processes: str) -> None:
        """Prepare, start the named processes or all, and wait until they are ready."""
        self.prepare()
        self.start(*(processes or PROCESSES))
        if "run" in self.processes:
            self.wait_ready()
        else:
            wait_until(self._answers, what="an answer of the API")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").is_success
        except httpx.HTTPError:
            return False

    def down(self) -> None:
        """Stop the processes; nothing of theirs stays in the engine."""
        self.stop()
        remove_containers(self.name)

    def rest(self) -> Rest:
        """Return a client of the API."""
        return Rest(self.url, self.key)

    def database(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection to the database, as the owner of its tables."""
        return psycopg.connect(self.owner_url, autocommit=True)

    def settle(self) -> None:
        """Wait until nothing runs, what was used is removed, and the pool is as full as it wants.

        Outside of what is measured: or its work would weigh on what is measured next.
        """

        def settled() -> bool:
            pool = self.pool()
            return pool["waiting"] == pool["target"] == len(running(self.name))

        wait_until(settled, what="the pool's own work")

    def pool(self) -> dict[str, int]:
        """Return how many sandboxes wait in the worker's pool, and how many should."""
        families = text_string_to_metric_families(httpx.get(self._metrics).text)
        values = {sample.name: sample.value for family in families for sample in family.samples}
        return {name: int(values[f"agentcore_pool_{name}"]) for name in ("waiting", "target")}


def running(deployment: str) -> list[str]:
    """Return the ids of a deployment's containers that run."""
    filters = {"label": f"{LABEL_DEPLOYMENT}={deployment}", "status": "running"}
    return [item["Id"] for item in docker.from_env().api.containers(filters=filters)]


def _places(services: Services, number: int) -> dict[str, str]:
    """Make a database; return where it and the broker's own number are."""
    assert services.postgres is not None
    assert services.valkey is not None
    database = f"bench{number}"
    with psycopg.connect(services.postgres.admin_url, autocommit=True) as connection:
        for statement in (
            "CREATE DATABASE {database} OWNER {owner}",
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            "GRANT CONNECT ON DATABASE {database} TO {app}",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    database=sql.Identifier(database),
                    owner=sql.Identifier(OWNER),
                    app=sql.Identifier(APP),
                )
            )
    return {
        "database_url": services.postgres.url_for(APP, database),
        "database_owner_url": services.postgres.url_for(OWNER, database),
        "broker_url": broker_number(services.valkey.url, number),
    }


def broker_number(url: str, number: int) -> str:
    """Return the URL of another of the broker's databases."""
    return urlunsplit(urlsplit(url)._replace(query=f"virtual_host={number}"))
