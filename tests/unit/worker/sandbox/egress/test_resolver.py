"""Look-ups: bounded in time and number, and one gate's slow names do not take another's threads."""

import asyncio
import contextlib
import os
import socket
import threading
from ipaddress import ip_address

import pytest

from worker.sandbox.egress import reasons
from worker.sandbox.egress.errors import FailedError
from worker.sandbox.egress.resolver import (
    MAX_ADDRESSES,
    MAX_THREADS,
    Resolver,
    prepare_system_lookup,
    system_lookup,
)

ONE = ip_address("192.0.2.1")


def resolve(lookup, seconds=10.0):
    async def work():
        resolver = Resolver(lookup)
        return await resolver.resolve("a.test", resolver.share(1), seconds)

    return asyncio.run(work())


def test_the_system_knows_its_own_name():
    assert ip_address("127.0.0.1") in system_lookup("localhost")


def test_addresses_come_in_order_and_not_without_end():
    many = [ip_address(f"192.0.2.{number}") for number in range(1, 200)]
    assert resolve(lambda _host: many) == many[:MAX_ADDRESSES]


@pytest.mark.parametrize(
    "fault", [socket.gaierror(socket.EAI_NONAME, "no such name"), OSError(), UnicodeError()]
)
def test_a_name_that_is_not_known_is_unresolvable(fault):
    def lookup(_host):
        raise fault

    with pytest.raises(FailedError) as caught:
        resolve(lookup)
    assert caught.value.reason == reasons.UNRESOLVABLE


def test_a_silent_name_server_is_not_waited_for():
    silent = threading.Event()
    try:
        with pytest.raises(FailedError) as caught:
            resolve(lambda _host: silent.wait(60) and [ONE], seconds=0.05)
        assert caught.value.reason == reasons.RESOLVE_TIMEOUT
    finally:
        silent.set()


def test_a_gate_whose_lookups_hang_keeps_to_its_own_share():
    silent, running = threading.Event(), threading.Semaphore(0)

    def lookup(host):
        if host == "slow.test":
            running.release()
            silent.wait(60)
        return [ONE]

    async def work():
        resolver = Resolver(lookup)
        slow_gate, other_gate = resolver.share(2), resolver.share(2)
        slow = [resolver.resolve("slow.test", slow_gate, 0.2) for _ in range(10)]
        answers = await asyncio.gather(
            *slow, resolver.resolve("quick.test", other_gate, 10), return_exceptions=True
        )
        assert answers.pop() == [ONE]
        assert {answer.reason for answer in answers} == {reasons.RESOLVE_TIMEOUT}
        # Both are still busy, though nobody waits for them any more.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await slow_gate.take()
        silent.set()
        async with asyncio.timeout(30):
            await slow_gate.take()

    asyncio.run(work())
    assert running.acquire(blocking=False)
    assert running.acquire(blocking=False)
    assert not running.acquire(blocking=False)


@pytest.mark.parametrize(("gates", "room"), [(1, 4), (MAX_THREADS // 2, 2), (MAX_THREADS * 2, 1)])
def test_a_gates_share_shrinks_with_the_number_of_gates_and_never_to_nothing(gates, room):
    async def work():
        resolver = Resolver()
        shares = [resolver.share(4) for _ in range(gates)]
        assert await taken(shares[0]) == room
        for share in shares[1:]:
            share.close()
            share.close()
        # Where gates have gone, a gate takes what is free now, once one of its own has ended.
        shares[0].give_back()
        assert await taken(shares[0]) == 4 - (room - 1)

    asyncio.run(work())


async def taken(share):
    """Take as much as there is; return how much that was."""
    count = 0
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.05):
                await share.take()
            count += 1
    return count


def test_a_system_without_room_for_a_thread_is_told_once_and_resolves_nothing(monkeypatch, caplog):
    def start(_thread):
        raise RuntimeError("can't start new thread")

    async def work():
        resolver = Resolver(lambda _host: [ONE])
        share = resolver.share(1)
        for _ in range(3):
            with pytest.raises(FailedError) as caught:
                await resolver.resolve("a.test", share, 10)
            assert caught.value.reason == reasons.UNRESOLVABLE
        monkeypatch.undo()
        assert await resolver.resolve("a.test", share, 10) == [ONE]

    monkeypatch.setattr(threading.Thread, "start", start)
    asyncio.run(work())
    assert [record.exc_info for record in caplog.records] == [None]


@pytest.mark.parametrize(
    ("given", "left"), [(None, "timeout:2 attempts:2"), ("attempts:1", "attempts:1")]
)
def test_names_are_looked_up_as_they_are_with_a_patience_that_an_operator_may_change(
    monkeypatch, given, left
):
    monkeypatch.setenv("LOCALDOMAIN", "corp.internal")
    monkeypatch.setenv("RES_OPTIONS", given or "")  # so that it is undone, too
    if given is None:
        monkeypatch.delenv("RES_OPTIONS")
    prepare_system_lookup()
    assert os.environ["LOCALDOMAIN"] == "."
    assert os.environ["RES_OPTIONS"] == left
