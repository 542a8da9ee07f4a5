"""Wide fan-outs by real schedulers: killed in the middle, or racing, they make each execution once and ring it once."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import SETTLED_CHANNEL
from db.clock import ClockRepository
from db.transaction import Database
from ops.doors import Door
from ops.replay.drive import Watched, doors_running
from tests.people import person, scalar
from tests.scheduler.messages import ready
from tests.waiting import until
from worker.bells.ringing import Bells

SUBSCRIBERS = 20_000
# Of Tuesday 2024-01-02: 08:30 IST, and the slots of 08:35 and 09:15.
EARLY = datetime(2024, 1, 2, 3, tzinfo=UTC)
SLOTS = (datetime(2024, 1, 2, 3, 5, tzinfo=UTC), datetime(2024, 1, 2, 3, 45, tzinfo=UTC))
SCHEDULES = ("order_sync before open", "order_sync at open")
# A claim of a dead scheduler runs out after ten seconds, and what it had not rung is rung again by a sweep.
START_SECONDS, FIRED_SECONDS = 30.0, 60.0

_CROWD = (
    f"INSERT INTO users (email) SELECT 'more' || g || '@example.in' FROM generate_series(2, {SUBSCRIBERS}) g",
    "INSERT INTO service_status (user_id, service_running) SELECT id, true FROM users WHERE id > :first",
    """INSERT INTO user_trading_config (user_id, parameter_hash)
       SELECT u.id, c.parameter_hash FROM users u, user_trading_config c WHERE u.id > :first AND c.user_id = :first""",
    """INSERT INTO broker_accounts (user_id, code, name, mode, venue)
       SELECT id, email || '/paper', 'paper', 'paper', 'paper' FROM users WHERE id > :first""",
    """INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id)
       SELECT d.id, a.user_id, a.id FROM schedules d, broker_accounts a
       WHERE d.name = ANY(:schedules) AND a.user_id > :first ORDER BY d.id, a.id""",
)
# Whoever makes the same execution waits for whoever inserted this one, until he commits or not.
_BLOCK = """
    INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of)
    SELECT :slot, 'order_sync', user_id, id, 'orders', 'queued', :slot FROM broker_accounts
    ORDER BY id OFFSET :behind LIMIT 1
"""
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'scheduler' AND wait_event_type = 'Lock'"
MADE = "SELECT count(*) FROM service_task_execution WHERE scheduled_for = :slot"
FIRED = "SELECT bool_and(firing_slot IS NULL AND next_due_at > :slot) FROM schedules WHERE name = ANY(:schedules)"
PLANNED = "SELECT bool_and(next_due_at IS NOT NULL) FROM schedules WHERE enabled"
DOUBLES = """
    SELECT count(*) FROM (SELECT FROM service_task_execution GROUP BY task_name, account_id, scheduled_for
                          HAVING count(*) > 1) doubled
"""
WITHOUT = """
    SELECT count(*) FROM broker_accounts a WHERE NOT EXISTS (
        SELECT FROM service_task_execution e WHERE e.account_id = a.id AND e.scheduled_for = :slot)
"""
SCHEDULERS = "SELECT count(*) FROM scheduler_processes WHERE stopped_at IS NULL"


async def crowd(database: Database) -> None:
    """Sign one user up, and lay so many more like him, subscribed to the schedules of this file alone."""
    first = await person(database)
    async with database.transaction(None) as session:
        for statement in _CROWD:
            values = {"first": first.user_id, "schedules": list(SCHEDULES)}
            needed = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), needed)
        await session.execute(text("UPDATE schedules SET enabled = name = ANY(:names)"), {"names": list(SCHEDULES)})
    async with database.engine.connect() as line:
        await line.execution_options(isolation_level="AUTOCOMMIT")
        await line.execute(text("ANALYZE"))


async def stand_at(database: Database, moment: datetime) -> None:
    async with database.transaction(None) as session:
        await ClockRepository(session).rehearse(moment, moment, 1.0)
        await session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))


@contextmanager
def schedulers(urls: ServerUrls, logs: Path, names: str) -> Iterator[Watched]:
    """Run real schedulers, one a letter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    environment = kept | {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis}
    doors = [Door(f"scheduler {name}", ["python", "-m", "scheduler.main"], environment) for name in names]
    with doors_running(doors, logs) as watched:
        yield watched


@asynccontextmanager
async def blocked(database: Database, slot: datetime, behind: int) -> AsyncIterator[None]:
    """Let a fan-out stand still at its subscriber behind so many others."""
    async with database.transaction(None) as session:
        await session.execute(text(_BLOCK), {"slot": slot, "behind": behind})
        yield
        await session.rollback()


async def fired(database: Database, bells: Bells, slot: datetime, messages: int) -> None:
    """Return once a slot is fired to its end and so many messages are on Redis."""
    await until(lambda: scalar(database, FIRED, slot=slot, schedules=[_NAMES[slot]]), FIRED_SECONDS)

    async def are_rung() -> bool:
        return len(await ready(bells, "orders")) >= messages

    await until(are_rung, FIRED_SECONDS)


_NAMES = dict(zip(SLOTS, SCHEDULES, strict=True))


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
    await stand_at(database, EARLY)
    slot = SLOTS[0]
    with schedulers(urls, tmp_path / "killed", "a") as watched:
        await until(lambda: scalar(database, PLANNED), START_SECONDS)
        async with blocked(database, slot, SUBSCRIBERS // 2):
            await stand_at(database, slot)
            await until(lambda: scalar(database, BLOCKED), START_SECONDS)
            watched.doors[0].signal(signal.SIGKILL)
    made = await scalar(database, MADE, slot=slot)
    assert isinstance(made, int)
    assert 0 < made < SUBSCRIBERS, "it was in the middle"
    with schedulers(urls, tmp_path / "others", "b"):
        await fired(database, bells, slot, SUBSCRIBERS)
    await hold(database, bells, 1)


async def test_three_schedulers_that_race_make_and_ring_each_execution_once_though_two_are_killed_at_it(
    database: Database, urls: ServerUrls, bells: Bells, tmp_path: Path
) -> None:
    await crowd(database)
    await stand_at(database, EARLY)

    async def three() -> bool:
        return await scalar(database, SCHEDULERS) == 3

    with schedulers(urls, tmp_path / "racing", "abc") as watched:
        await until(three, START_SECONDS)
        await until(lambda: scalar(database, PLANNED), START_SECONDS)
        takers: set[str] = set()
        for number, (slot, killed) in enumerate(zip(SLOTS, ((), watched.doors[:2]), strict=True), start=1):
            await stand_at(database, slot)
            takers |= await _takers_until(database, slot, list(killed))
            await fired(database, bells, slot, number * SUBSCRIBERS)
    assert len(takers) > 1, "else it was no race"
    await hold(database, bells, len(SLOTS))


async def _takers_until(database: Database, slot: datetime, killed: list[Door]) -> set[str]:
    """Return who was seen to hold pieces of a slot's fan-out until all of it was made.

    killed: each dies when so many more of its executions are there, wherever it is just then.
    """
    found: set[str] = set()
    end, step = time.monotonic() + FIRED_SECONDS, SUBSCRIBERS // (len(killed) + 1)
    while (made := await scalar(database, MADE, slot=slot)) != SUBSCRIBERS:
        assert time.monotonic() < end
        if killed and isinstance(made, int) and made > SUBSCRIBERS - len(killed) * step:
            killed.pop(0).signal(signal.SIGKILL)
        async with database.reading(None) as session:
            found |= set((await session.execute(text("SELECT claimed_by FROM schedule_pieces"))).scalars())
        await asyncio.sleep(0.005)
    return found
