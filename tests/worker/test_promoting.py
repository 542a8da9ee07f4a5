"""A promoter ends when it is told to, at whatever moment of a call of Redis that is."""

import asyncio

import pytest

from ops.local import Servers
from worker.bells.ringing import Bells, Promoted
from worker.promoting import Promoter


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_promoter_ends_though_a_call_of_redis_swallowed_its_cancellation(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    swallowed, is_calling = 0, asyncio.Event()

    async def promote(self: Bells) -> Promoted:
        # As a call does whose answer comes at that very moment.
        nonlocal swallowed
        is_calling.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if swallowed == lost:
                raise
            swallowed += 1
        return Promoted(0, None)

    monkeypatch.setattr(Bells, "promote", promote)
    bells = Bells(servers.redis_url)
    promoter = Promoter(bells)
    await promoter.open()
    await is_calling.wait()
    await asyncio.wait_for(promoter.close(), 10)
    await bells.close()
    assert swallowed == lost
