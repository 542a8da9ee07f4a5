"""Slots whose executions are laid over some time: by chance, or evenly."""

from datetime import timedelta

from sqlalchemy import text

from db.transaction import Database
from tests.people import person, replay_from, scalar, set_clock
from tests.scheduler.messages import ready, waiting
from tests.scheduler.opened import FIRST, HOUR, open_due, set_policies
from worker.bells.ringing import Bells

USERS = 12
OFFSETS = "SELECT array_agg(extract(epoch FROM scheduled_for - as_of)::float8 ORDER BY account_id) FROM {}"
_OF = "service_task_execution WHERE as_of = :slot"


async def _laid(database: Database, **policies: object) -> None:
    await replay_from(database, days=2)
    for number in range(USERS):
        await person(database, f"user{number}")
    await set_policies(database, **policies)


async def _offsets(database: Database, number: int) -> list[float]:
    found = await scalar(database, OFFSETS.format(_OF), slot=FIRST + number * HOUR)
    assert isinstance(found, list)
    return found


async def test_a_spread_gives_each_account_its_own_moment_slot_after_slot(database: Database, bells: Bells) -> None:
    await _laid(database, spread_seconds=600)
    due = await open_due(database, bells)
    for number in (0, 1):
        await set_clock(database, FIRST + number * HOUR)
        await due.fire(False)
    first, second = await _offsets(database, 0), await _offsets(database, 1)
    assert first == second
    assert len(set(first)) == USERS
    assert all(0 <= offset < 600 for offset in first)


async def test_jitter_gives_each_account_another_moment_in_each_slot(database: Database, bells: Bells) -> None:
    await _laid(database, jitter_seconds=600)
    due = await open_due(database, bells)
    for number in (0, 1):
        await set_clock(database, FIRST + number * HOUR)
        await due.fire(False)
    first, second = await _offsets(database, 0), await _offsets(database, 1)
    assert first != second
    assert all(0 <= offset < 600 for offset in first + second)


async def test_live_a_laid_slot_waits_on_redis_and_is_not_rung_before_its_moment(
    database: Database, bells: Bells
) -> None:
    await _laid(database, spread_seconds=600)
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE market_clock SET at = :at, set_at = now(), speed = 1.0"), {"at": FIRST + timedelta(seconds=1)}
        )
    due = await open_due(database, bells)
    await due.fire(False)
    assert len(await waiting(bells, "strategy")) + len(await ready(bells, "strategy")) == USERS
    assert len(await ready(bells, "strategy")) <= 1


async def test_in_a_replay_the_clock_goes_from_one_moment_of_a_laid_slot_to_the_next(
    database: Database, bells: Bells
) -> None:
    await _laid(database, spread_seconds=600)
    due = await open_due(database, bells)
    await set_clock(database, FIRST)
    await due.fire(False)
    assert await waiting(bells, "strategy") == {}
    ringable = "SELECT count(*) FROM service_task_execution WHERE is_ringable AND scheduled_for > as_of"
    assert await scalar(database, ringable) == USERS
