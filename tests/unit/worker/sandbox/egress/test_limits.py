"""Limits are exact, and what is counted stays within them."""

import asyncio
import json

import pytest

from worker.sandbox.egress import reasons
from worker.sandbox.egress.errors import FailedError, RefusedError
from worker.sandbox.egress.limits import Bucket, Limits, Usage


def test_exactly_as_many_requests_as_allowed_are_taken():
    usage = Usage(Limits(max_requests=2))
    usage.take_request()
    usage.take_request()
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            usage.take_request()
        assert caught.value.reason == reasons.QUOTA_EXCEEDED
    assert usage.requests == 2


def test_a_quota_of_none_has_no_end_and_one_of_zero_no_beginning():
    usage = Usage(Limits(max_requests=None))
    for _ in range(1000):
        usage.take_request()
    with pytest.raises(RefusedError):
        Usage(Limits(max_requests=0)).take_request()


def test_a_connection_gives_its_place_back():
    usage = Usage(Limits(max_connections=1))
    with usage.connection():
        with pytest.raises(RefusedError) as caught, usage.connection():
            pass
        assert caught.value.reason == reasons.TOO_MANY_CONNECTIONS
    with usage.connection():
        pass


@pytest.mark.parametrize("way", ["up", "down"])
def test_bytes_end_exactly_at_the_limit(way):
    usage = Usage(Limits(max_bytes_up=10, max_bytes_down=10))
    take = getattr(usage, f"take_{way}")
    take(4)
    take(5)
    with pytest.raises(FailedError) as caught:
        take(2)
    assert caught.value.reason == reasons.BYTE_LIMIT
    assert getattr(usage, f"bytes_{way}") == 10
    with pytest.raises(RefusedError) as refused, usage.connection():
        pass
    assert refused.value.reason == reasons.BYTE_LIMIT


def test_limits_travel_as_json():
    limits = Limits(max_requests=None, idle_seconds=1.5)
    assert Limits.from_json(json.loads(json.dumps(limits.as_json()))) == limits


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_requests": -1},
        {"max_connections": 0},
        {"idle_seconds": 0},
        {"idle_seconds": float("nan")},
        {"connect_seconds": float("inf")},
        {"max_bytes_up": "1"},
        {"max_bytes_down": None},
        {"accept_burst": True},
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError):
        Limits(**wrong)


def test_a_bucket_lets_a_burst_through_and_then_keeps_its_rate():
    async def work() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        bucket, began = Bucket(rate=50, burst=5), loop.time()
        for _ in range(5):
            await bucket.take()
        burst = loop.time() - began
        await asyncio.gather(*(bucket.take() for _ in range(10)))
        return burst, loop.time() - began

    burst, all_of_them = asyncio.run(work())
    assert burst < 0.02 * 5  # none of them had to wait a turn
    assert all_of_them >= 10 / 50 - 0.01
