"""A stream of a batch's results: lines of JSON as they come, woken by the database."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID

from fastapi.concurrency import run_in_threadpool

from api.waiters import Waiters
from models.errors import AgentCoreError, StoreUnavailableError
from models.results import ResultPage, ResultsEnd

MAX_SECONDS = 600  # of one stream: whoever comes back for the rest shows a key again
ALIVE_SECONDS = 15  # between empty lines of a stream that has nothing to tell
OUTAGE_SECONDS = 30  # without the database that a stream outlasts


class ResultStream:
    """Reads page after page, one in memory at a time, as fast as the client takes them.

    `read` gives the page after an index; it is called in a thread.
    """

    def __init__(
        self,
        waiters: Waiters,
        execution_id: UUID,
        read: Callable[[int], ResultPage],
        after: int,
    ) -> None:
        self._waiters = waiters
        self._execution_id = execution_id
        self._read = read
        self._next = after
        self._complete = False
        self._broken: str | None = None  # why it ends early
        self._away_since: float | None = None  # the database

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield lines until the execution has ended; the last one says whether it has."""
        give_up = time.monotonic() + MAX_SECONDS
        with self._waiters.register(self._execution_id, results=True) as news:
            while not self._complete and self._broken is None:
                news.clear()  # before reading: what comes from here on wakes
                lines = await run_in_threadpool(self._page)
                if not lines and not self._complete and self._broken is None:
                    lines = await _until_news(news)
                if lines:
                    yield lines
                if time.monotonic() > give_up and self._broken is None:
                    self._broken = f"a stream takes at most {MAX_SECONDS} s"
        end = ResultsEnd(
            next=self._next,
            complete=self._complete,
            detail=None if self._complete else self._broken,
        )
        yield end.model_dump_json().encode() + b"\n"

    def _page(self) -> bytes:
        """Return the lines of the next page; empty when there is none yet, or never will be."""
        try:
            page = self._read(self._next)
        except StoreUnavailableError as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() > self._away_since + OUTAGE_SECONDS:
                self._broken = str(error)
            return b""
        except AgentCoreError as error:  # it is gone: retention
            self._broken = str(error)
            return b""
        self._away_since = None
        self._next, self._complete = page.next, page.complete
        return b"".join(item.model_dump_json().encode() + b"\n" for item in page.items)


async def _until_news(news: asyncio.Event) -> bytes:
    """Wait for news; after a while return an empty line, so that nobody takes us for dead."""
    try:
        await asyncio.wait_for(news.wait(), ALIVE_SECONDS)
    except TimeoutError:
        return b"\n"
    return b""
