"""A stream of results: what it tells, what it outlasts and how it ends."""

import asyncio
import json
from uuid import UUID

import pytest

from api import result_stream
from api.result_stream import ResultStream
from api.waiters import RESULTS, Waiters
from models.errors import NotFoundError, StoreUnavailableError
from models.execution import Stream
from models.results import InputResult, ResultPage
from models.settings import Settings
from models.status import Status

ID = UUID(int=1)
EMPTY = Stream(text="", total_bytes=0, truncated=False)
AWAY = StoreUnavailableError("the database does not answer")


@pytest.fixture
def waiters():
    return Waiters(Settings(database_url="postgresql://x", broker_url="redis://x"))


def page(*indexes, after=-1, complete=False):
    items = tuple(
        InputResult(index=index, attempt=1, status=Status.SUCCEEDED, stdout=EMPTY, stderr=EMPTY)
        for index in indexes
    )
    return ResultPage(items=items, next=indexes[-1] if indexes else after, complete=complete)


class Reads:
    """Answers each read with the next of these; tells the waiters first when it is to wait."""

    def __init__(self, waiters, *answers):
        self.waiters = waiters
        self.answers = list(answers)
        self.asked = []

    def __call__(self, after):
        self.asked.append(after)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def told(waiters, *answers, wake=True):
    """Return the lines of a stream and what it asked for; whenever it waits, it is woken."""
    reads = Reads(waiters, *answers)

    async def scenario():
        found = []
        stream = ResultStream(waiters, ID, reads, -1).lines()
        waking = asyncio.create_task(_wake_all_the_time(waiters)) if wake else None
        async for lines in stream:
            found += [line for line in lines.split(b"\n") if line]
        if waking is not None:
            waking.cancel()
        return [json.loads(line) for line in found]

    return asyncio.run(scenario()), reads.asked


async def _wake_all_the_time(waiters):
    while True:
        waiters._told(RESULTS, ID)
        await asyncio.sleep(0)


def test_it_goes_on_from_page_to_page_and_ends_complete(waiters):
    lines, asked = told(waiters, page(0, 1), page(after=1), page(2), page(after=2, complete=True))
    assert [line.get("index") for line in lines] == [0, 1, 2, None]
    assert lines[-1] == {"next": 2, "complete": True, "detail": None}
    assert asked == [-1, 1, 1, 2]
    assert not waiters._events
    assert not waiters._for_results


def test_it_outlasts_a_moment_without_the_database(waiters):
    lines, asked = told(waiters, page(0), AWAY, AWAY, page(1, complete=True))
    assert [line.get("index") for line in lines] == [0, 1, None]
    assert asked == [-1, 0, 0, 0]


def test_it_says_why_it_ends_when_the_database_stays_away(waiters, monkeypatch):
    monkeypatch.setattr(result_stream, "OUTAGE_SECONDS", -1)
    lines, _ = told(waiters, page(0), AWAY)
    assert lines[-1] == {"next": 0, "complete": False, "detail": str(AWAY)}


def test_it_says_so_when_the_execution_is_gone(waiters):
    lines, _ = told(waiters, page(0), NotFoundError("no execution"))
    assert lines[-1] == {"next": 0, "complete": False, "detail": "no execution"}


def test_it_ends_after_its_time_and_says_where_to_go_on(waiters, monkeypatch):
    monkeypatch.setattr(result_stream, "MAX_SECONDS", -1)
    lines, _ = told(waiters, page(0))
    assert (lines[-1]["next"], lines[-1]["complete"]) == (0, False)
    assert "at most" in lines[-1]["detail"]


def test_a_stream_that_has_nothing_to_tell_shows_that_it_lives(waiters, monkeypatch):
    monkeypatch.setattr(result_stream, "ALIVE_SECONDS", 0)
    reads = Reads(waiters, page(), page(), page(complete=True))

    async def scenario():
        return [line async for line in ResultStream(waiters, ID, reads, -1).lines()]

    assert asyncio.run(scenario())[:2] == [b"\n", b"\n"]


def test_the_end_of_the_execution_wakes_it_too(waiters):
    async def scenario():
        with waiters.register(ID, results=True) as both, waiters.register(ID) as end:
            waiters._told(RESULTS, ID)
            after_results = both.is_set(), end.is_set()
            both.clear()
            waiters._wake(ID)
            return after_results, (both.is_set(), end.is_set())

    assert asyncio.run(scenario()) == ((True, False), (True, True))
