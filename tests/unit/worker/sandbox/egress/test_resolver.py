"""Look-ups: bounded in time and number, and one gate's slow names do not take another's threads."""

import asyncio
import socket
import threading
from ipaddress import ip_address

import pytest

from worker.sandbox.egress import reasons
from worker.sandbox.egress.errors import FailedError
from worker.sandbox.egress.resolver import MAX_ADDRESSES, Resolver, system_lookup

ONE = ip_address("192.0.2.1")


def resolve(lookup, seconds=10.0):
    async def work():
        return await Resolver(lookup).resolve("a.test", asyncio.Semaphore(1), seconds)

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
        slow_gate, other_gate = asyncio.Semaphore(2), asyncio.Semaphore(2)
        slow = [resolver.resolve("slow.test", slow_gate, 0.2) for _ in range(10)]
        answers = await asyncio.gather(
            *slow, resolver.resolve("quick.test", other_gate, 10), return_exceptions=True
        )
        assert answers.pop() == [ONE]
        assert {answer.reason for answer in answers} == {reasons.RESOLVE_TIMEOUT}
        # Both are still busy, though nobody waits for them any more.
        assert slow_gate.locked()
        silent.set()
        async with asyncio.timeout(30):
            await slow_gate.acquire()

    asyncio.run(work())
    assert running.acquire(blocking=False)
    assert running.acquire(blocking=False)
    assert not running.acquire(blocking=False)
