"""Wide fan-outs by real schedulers: killed in the middle, or racing, they make each execution once and ring it once."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from ops.doors import Door
from scheduler.pieces import AT_ONCE, PIECE
from tests.flow.crowds import (
    FIRED_SECONDS,
    MADE,
    SLOTS,
    START_SECONDS,
    SUBSCRIBERS,
    crowd,
    fired,
    ready_to_fire,
    schedulers,
    stand_at,
)
from tests.people import scalar
from tests.scheduler.messages import ready
from tests.waiting import until
from worker.bells.ringing import Bells

# Whoever makes the same execution waits for whoever inserted this one, until he commits or not.
_BLOCK = """
    INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of)
    SELECT :slot, 'order_sync', user_id, id, 'orders', 'queued', :slot FROM broker_accounts
    ORDER BY id OFFSET :behind LIMIT 1
"""
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'scheduler' AND wait_event_type = 'Lock'"
DOUBLES = """
    SELECT count(*) FROM (SELECT FROM service_task_execution GROUP BY task_name, account_id, scheduled_for
                          HAVING count(*) > 1) doubled
"""
# Of sets: looked up account by account it takes seconds, as nobody has analysed what was just made.
WITHOUT = """
    SELECT count(*) FROM (SELECT id FROM broker_accounts
                          EXCEPT SELECT account_id FROM service_task_execution WHERE scheduled_for = :slot) missed
"""

# Whoever stands still at as many pieces as it makes at once makes no others: another has, or stands at one of these.
RACED = f"""
    SELECT ({MADE}) >= :others OR (SELECT count(DISTINCT claimed_by) > 1 FROM schedule_pieces WHERE claimed_by IS NOT NULL)
"""


@asynccontextmanager
async def blocked(database: Database, slot: datetime, behind: int) -> AsyncIterator[None]:
    """Let a fan-out stand still at its subscriber behind so many others."""
    async with database.transaction(None) as session:
        await session.execute(text(_BLOCK), {"slot": slot, "behind": behind})
        yield
        await session.rollback()


async def rung(bells: Bells, messages: int) -> None:
    """Return once so many messages are on Redis."""

    async def are_there() -> bool:
        return len(await ready(bells, "orders")) >= messages

    await until(are_there, FIRED_SECONDS)


async def hold(database: Database, bells: Bells, slots: int) -> None:
    """Hold what there is against what there must be: of each slot one execution an account, and one message each."""
    for slot in SLOTS[:slots]:
        assert await scalar(database, WITHOUT, slot=slot) == 0, "an execution was missed"
        assert await scalar(database, MADE, slot=slot) == SUBSCRIBERS
    assert await scalar(database, DOUBLES) == 0
    messages = await ready(bells, "orders")
    assert len(messages) == len(set(messages)) == slots * SUBSCRIBERS


async def test_a_scheduler_killed_in_the_middle_of_a_wide_fan_out_is_taken_over_and_nothing_is_missed_or_doubled(
    database: Database, urls: ServerUrls, bells: Bells, tmp_path: Path
) -> None:
    await crowd(database)
    slot = SLOTS[0]
    with schedulers(urls, tmp_path / "killed", "a") as watched:
        await ready_to_fire(database, 1)
        async with blocked(database, slot, SUBSCRIBERS // 2):
            await stand_at(database, slot)
            await until(lambda: scalar(database, BLOCKED), START_SECONDS)
            watched.doors[0].signal(signal.SIGKILL)
    made = await scalar(database, MADE, slot=slot)
    assert isinstance(made, int)
    assert 0 < made < SUBSCRIBERS, "it was in the middle"
    with schedulers(urls, tmp_path / "others", "b"):
        await fired(database, slot)
        await rung(bells, SUBSCRIBERS)
    await hold(database, bells, 1)


async def test_three_schedulers_that_race_make_and_ring_each_execution_once_though_two_are_killed_at_it(
    database: Database, urls: ServerUrls, bells: Bells, tmp_path: Path
) -> None:
    await crowd(database)
    first, second = SLOTS
    with schedulers(urls, tmp_path / "racing", "abc") as watched:
        await ready_to_fire(database, 3)
        async with AsyncExitStack() as stuck:
            # The first piece is made by whoever fires.
            for number in range(1, AT_ONCE + 1):
                await stuck.enter_async_context(blocked(database, first, number * PIECE + 1))
            await stand_at(database, first)
            await until(
                lambda: scalar(database, RACED, slot=first, others=SUBSCRIBERS - AT_ONCE * PIECE), FIRED_SECONDS
            )
        await fired(database, first)
        await rung(bells, SUBSCRIBERS)
        await stand_at(database, second)
        await _made_though(database, second, list(watched.doors[:2]))
        await fired(database, second)
        await rung(bells, 2 * SUBSCRIBERS)
    await hold(database, bells, len(SLOTS))


async def _made_though(database: Database, slot: datetime, killed: list[Door]) -> None:
    """Return once all of a slot is made.

    killed: each dies when so many more of its executions are there, wherever it is just then.
    """
    end, step = time.monotonic() + FIRED_SECONDS, SUBSCRIBERS // (len(killed) + 1)
    while (made := await scalar(database, MADE, slot=slot)) != SUBSCRIBERS:
        assert time.monotonic() < end
        if killed and isinstance(made, int) and made > SUBSCRIBERS - len(killed) * step:
            killed.pop(0).signal(signal.SIGKILL)
        await asyncio.sleep(0.005)
