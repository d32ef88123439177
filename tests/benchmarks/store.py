"""The store beside itself: with few and with many executions that have ended, and with few and
many that are queued.

Everything is filled in this run. STORED in the environment says how many are many.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import psycopg
from alembic import command

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.roles import APP, OWNER
from models.settings import load_settings
from tests.benchmarks import filling
from tests.benchmarks.rows import Row, in_turn, measured
from tests.harness import alembic_config

if TYPE_CHECKING:
    from tests.benchmarks.work import Store

FEW, MANY = 1_000, 1_000_000  # executions that have ended
QUEUE = 2_000  # and beside a queue
DEPTHS = (10, 100, 1_000, 10_000)  # executions of one tenant that wait for their turn
EACH = 10  # and as many of others wait for a worker, so many of each
ROUNDS = 60
WARM_UP = 7  # rounds that do not count: until all statements are prepared
SETTINGS = {
    "AGENTCORE_DATABASE_URL": "postgresql:///",  # never used: each store has its own
    "AGENTCORE_BROKER_URL": "redis://127.0.0.1:1/0",  # as little: nobody is told of anything
    "AGENTCORE_DATABASE_APP_ROLE": APP,
    "AGENTCORE_TENANT_MAX_QUEUED": "1000000",
    "AGENTCORE_TENANT_MAX_RUNNING": "4",  # less than the least that is queued
}

Took = dict[str, dict[str, list[float]]]  # milliseconds, by what was done and where


def rows(
    say: Callable[[str], object] = print, *, many: int | None = None, rounds: int = ROUNDS
) -> list[Row]:
    """Measure, in some minutes; most of them fill the store."""
    many = many or int(os.environ.get("STORED", MANY))
    with _settings(), _server() as server:
        sizes = {f"{count:,} stored": _store(server, count, say) for count in (FEW, many)}
        found = _measured(_by_size(sizes, rounds, say), f"{FEW:,} stored")
        depths = {f"{depth:,} queued": depth for depth in DEPTHS}
        queue = _store(server, QUEUE, say)
        found += _measured(_by_depth(queue, depths, rounds, say), next(iter(depths)))
    return found


@contextmanager
def _settings() -> Iterator[None]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("AGENTCORE_")}
    with patch.dict(os.environ, own | SETTINGS, clear=True):
        load_settings.cache_clear()
        try:
            yield
        finally:
            load_settings.cache_clear()


@contextmanager
def _server() -> Iterator[EmbeddedPostgres]:
    """Give a server that is durable, as in production."""
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedPostgres(Path(directory) / "postgres")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _store(server: EmbeddedPostgres, stored: int, say: Callable[[str], object]) -> "Store":
    """Return a database of its own with so many executions that have ended."""
    from tests.benchmarks.work import Store  # it reads the settings

    name = f"of_{stored}"
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        admin.execute(f"GRANT CONNECT ON DATABASE {name} TO {APP}")
    owner_url = server.url_for(OWNER, name)
    command.upgrade(alembic_config(owner_url), "head")
    filling.fill(owner_url, stored, say)
    return Store(server.url_for(APP, name), owner_url)


def _by_size(stores: dict[str, "Store"], rounds: int, say: Callable[[str], object]) -> Took:
    took: Took = {}
    for number in range(WARM_UP + rounds):
        for label in in_turn(list(stores), number):
            for name, milliseconds in _round(stores[label], everything=True).items():
                if number >= WARM_UP:
                    took.setdefault(name, {}).setdefault(label, []).append(milliseconds)
        if number % 20 == 0:
            say(f"round {number} of {WARM_UP + rounds}")
    return took


def _by_depth(
    store: "Store", depths: dict[str, int], rounds: int, say: Callable[[str], object]
) -> Took:
    took: Took = {}
    for label, depth in depths.items():
        say(f"{label} by one tenant, as many by others")
        store.deepen(depth, each=EACH)
        for number in range(WARM_UP + rounds):
            for name, milliseconds in _round(store, everything=False).items():
                if number >= WARM_UP:
                    took.setdefault(name, {}).setdefault(label, []).append(milliseconds)
    return took


def _round(store: "Store", *, everything: bool) -> dict[str, float]:
    """Do each thing once; return the milliseconds that it took."""
    from tests.benchmarks import work

    verbs = work.steps(store) | work.sweeps()
    if everything:
        verbs |= work.reads(store) | work.lists()
    took = {}
    with store.in_use():
        for name, verb in verbs.items():
            begun = time.perf_counter()
            verb()
            took[name] = (time.perf_counter() - begun) * 1000
    return took


def _measured(took: Took, base: str) -> list[Row]:
    """Return a row for each thing done and each place, beside the place called `base`."""
    return [
        row
        for name, places in took.items()
        for row in measured(
            "ms",
            {f"{name}, {place}": values for place, values in sorted(places.items(), key=_size)},
            f"{name}, {base}",
        )
    ]


def _size(place: tuple[str, list[float]]) -> int:
    return int(place[0].split()[0].replace(",", ""))
