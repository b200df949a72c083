"""Permits of an event loop: none is lost, and they are had in the order in which they were asked for."""

from __future__ import annotations

import asyncio

import pytest

from bankrmi.client.permits import LoopPermits


async def waiting(permits: LoopPermits) -> asyncio.Task[None]:
    task = asyncio.create_task(permits.wait())
    await asyncio.sleep(0)
    return task


def test_who_asked_first_has_it_first_and_a_newcomer_waits_behind() -> None:
    async def play() -> None:
        permits = LoopPermits(1)
        assert permits.take()
        first, second = await waiting(permits), await waiting(permits)
        permits.give_back()
        assert not permits.take()
        await first
        assert not second.done()
        permits.give_back()
        await second
        permits.give_back()
        assert permits.take()

    asyncio.run(play())


@pytest.mark.parametrize("when", ["before its turn", "in its turn"])
def test_who_is_cancelled_keeps_no_permit(when: str) -> None:
    async def play() -> None:
        permits = LoopPermits(1)
        assert permits.take()
        first, second = await waiting(permits), await waiting(permits)
        if when == "before its turn":
            first.cancel()
            await asyncio.sleep(0)
            permits.give_back()
        else:
            permits.give_back()
            first.cancel()
        await second
        assert not permits.take()
        permits.give_back()
        assert permits.take()

    asyncio.run(play())
