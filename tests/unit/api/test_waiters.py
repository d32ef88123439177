"""Long-polls: who waits is woken, and only as many wait as may."""

import asyncio
from uuid import UUID

import pytest

from api.waiters import Waiters
from models.settings import Settings

ONE, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def waiters():
    return Waiters(
        Settings(database_url="postgresql+psycopg://u:p%40ss@h:1/d", broker_url="redis://x")
    )


def test_everybody_who_waits_for_one_execution_is_woken(waiters):
    async def scenario():
        with (
            waiters.register(ONE) as first,
            waiters.register(ONE) as second,
            waiters.register(OTHER) as third,
        ):
            waiters._wake(ONE)
            return first.is_set(), second.is_set(), third.is_set()

    assert asyncio.run(scenario()) == (True, True, False)


def test_an_execution_that_nobody_waits_for_wakes_nobody(waiters):
    waiters._wake(ONE)
    assert not waiters._events


def test_nothing_is_left_of_those_who_went_away(waiters):
    async def scenario():
        with pytest.raises(RuntimeError), waiters.register(ONE), waiters.register(ONE):
            raise RuntimeError

    asyncio.run(scenario())
    assert not waiters._events
    assert waiters._count == 0


def test_over_the_limit_nobody_waits(waiters, monkeypatch):
    monkeypatch.setattr(waiters, "_most", 1)

    async def scenario():
        with waiters.register(ONE) as first, waiters.register(OTHER) as second:
            return first.is_set(), second.is_set()

    assert asyncio.run(scenario()) == (False, True)


def test_the_connection_is_told_the_plain_scheme_and_the_whole_password(waiters):
    assert waiters._conninfo == "postgresql://u:p%40ss@h:1/d"
