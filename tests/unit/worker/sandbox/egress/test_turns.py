"""Turns: one in a round, in order, and none for who has gone."""

import asyncio

from worker.sandbox.egress.turns import Turns


def test_many_of_one_gate_go_on_as_often_as_one_of_another():
    async def work() -> tuple[int, int]:
        crowded, quiet, counts = Turns(), Turns(), [0, 0]

        async def go_on(turns: Turns, which: int) -> None:
            while True:
                await turns.take()
                counts[which] += 1

        tasks = [asyncio.create_task(go_on(crowded, 0)) for _ in range(30)]
        tasks.append(asyncio.create_task(go_on(quiet, 1)))
        for _ in range(300):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        return counts[0], counts[1]

    crowded, quiet = asyncio.run(work())
    assert quiet > 100
    assert crowded < quiet * 3


def test_turns_come_in_order_and_pass_over_who_has_gone():
    async def work() -> list[int]:
        turns, came = Turns(), []

        async def take(number: int) -> None:
            await turns.take()
            came.append(number)

        tasks = [asyncio.create_task(take(number)) for number in range(6)]
        await asyncio.sleep(0)
        for task in tasks[0], tasks[2], tasks[5]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(30):
            await take(6)
        return came

    assert asyncio.run(work()) == [1, 3, 4, 6]
