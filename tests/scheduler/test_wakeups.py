"""What settles wakes a scheduler at once; a flood of it wakes him once in a while."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.channels import MORE_UNDER_WAY, SETTLED_CHANNEL
from db.transaction import Database
from scheduler.wakeups import Wakeups

LONG = 20.0


@pytest.fixture
async def wakeups(urls: ServerUrls) -> AsyncIterator[Wakeups]:
    listening = Wakeups(urls.database)
    await listening.wait(0.01)
    yield listening
    await listening.close()


async def settle(database: Database, said: str = "") -> None:
    async with database.transaction(None) as session:
        await session.execute(text(f"NOTIFY {SETTLED_CHANNEL}, '{said}'"))


async def test_a_settle_wakes_at_once(database: Database, wakeups: Wakeups) -> None:
    waiting = asyncio.create_task(wakeups.wait(LONG))
    await settle(database)
    began = time.monotonic()
    assert await waiting
    assert time.monotonic() - began < LONG / 2


async def test_what_settles_while_it_rests_wakes_it_when_it_has_rested(database: Database, wakeups: Wakeups) -> None:
    began = time.monotonic()
    waiting = asyncio.create_task(wakeups.wait(LONG, at_least=0.3))
    for _ in range(20):
        await settle(database)
    await waiting
    assert 0.3 <= time.monotonic() - began < LONG / 2
    began = time.monotonic()
    assert not await wakeups.wait(0.2)
    assert time.monotonic() - began >= 0.15, "all of them were answered together"


async def test_in_a_replay_the_end_of_the_last_cuts_the_rest_short_and_no_other(
    database: Database, wakeups: Wakeups
) -> None:
    began = time.monotonic()
    waiting = asyncio.create_task(wakeups.wait(LONG, at_least=0.3, or_over=True))
    await settle(database, MORE_UNDER_WAY)
    assert await waiting
    assert time.monotonic() - began >= 0.3, "more was under way"
    began = time.monotonic()
    waiting = asyncio.create_task(wakeups.wait(LONG, at_least=LONG, or_over=True))
    await settle(database, MORE_UNDER_WAY)
    await settle(database)
    assert await waiting
    assert time.monotonic() - began < LONG / 2
    began = time.monotonic()
    assert not await wakeups.wait(0.2, at_least=0.1, or_over=True), "it was answered"
    assert time.monotonic() - began >= 0.3


async def test_without_a_settle_it_wakes_after_the_time_given(wakeups: Wakeups) -> None:
    began = time.monotonic()
    assert not await wakeups.wait(0.2, at_least=0.1)
    assert 0.2 <= time.monotonic() - began < LONG / 2


async def test_without_postgres_it_polls() -> None:
    blind = Wakeups("postgresql:///muhurat?host=/nowhere")
    began = time.monotonic()
    await blind.wait(0.1)
    assert time.monotonic() - began < LONG / 2
    await blind.close()
