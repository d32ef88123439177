"""Long-polls: thousands of requests wait on one database connection, woken, not polling."""

import asyncio
import contextlib
import random
import resource
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import make_url

from api import metrics
from models.settings import Settings

log = structlog.get_logger()

# The database notifies them with the id of an execution: that it ended, or has new results.
FINISHED = "agentcore_finished"
RESULTS = "agentcore_results"
MAX_WAITERS = 10_000  # requests that may wait at once; more are answered without waiting
CONNECT_TIMEOUT = 5  # seconds
PROBE_SECONDS = 15  # between questions whether the connection lives
MAX_RETRY_WAIT = 5  # seconds between two tries to listen again


class Waiters:
    """Events by execution id, set when the database says that it ended, or has new results."""

    def __init__(self, settings: Settings) -> None:
        url = make_url(settings.database_url.get_secret_value()).set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self._events: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._for_results: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._count = 0
        # Every waiting client holds a descriptor; leave as many for everything else.
        self._most = min(MAX_WAITERS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    @property
    def is_full(self) -> bool:
        """Whether as many wait as may."""
        return self._count >= self._most

    @contextmanager
    def register(self, execution_id: UUID, *, results: bool = False) -> Iterator[asyncio.Event]:
        """Give an event that is set when the execution ends; register before reading the row.

        With `results`, also when results of a batch have come. It is set from the beginning when
        as many wait as may.
        """
        event = asyncio.Event()
        if self.is_full:
            event.set()
        self._count += 1
        metrics.WAITING.set(self._count)
        kinds = (self._events, self._for_results) if results else (self._events,)
        for events in kinds:
            events[execution_id].add(event)
        try:
            yield event
        finally:
            self._count -= 1
            metrics.WAITING.set(self._count)
            for events in kinds:
                events[execution_id].discard(event)
                if not events[execution_id]:
                    del events[execution_id]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block runs."""
        task = asyncio.create_task(self._listen_for_ever())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:
                # Whatever it was, waiting clients depend on this task going on.
                log.warning("listening_failed", error=str(error))
            # What ended meanwhile was not heard: let everyone look for themselves.
            self._wake(*list(self._events))
            await asyncio.sleep(random.uniform(0.1, MAX_RETRY_WAIT))  # noqa: S311 - jitter

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=CONNECT_TIMEOUT
        )
        async with connection:
            for channel in (FINISHED, RESULTS):
                await connection.execute(f"LISTEN {channel}")
            self._wake(*list(self._events))
            while True:
                async for notification in connection.notifies(timeout=PROBE_SECONDS):
                    with contextlib.suppress(ValueError):  # anybody may notify, with anything
                        self._told(notification.channel, UUID(notification.payload))
                # A dead connection is silent: only a question shows it.
                await asyncio.wait_for(connection.execute("SELECT 1"), CONNECT_TIMEOUT)

    def _told(self, channel: str, execution_id: UUID) -> None:
        if channel == FINISHED:
            self._wake(execution_id)
            return
        for event in self._for_results.get(execution_id, ()):
            event.set()

    def _wake(self, *execution_ids: UUID) -> None:
        for execution_id in execution_ids:
            for event in self._events.get(execution_id, ()):
                event.set()
