"""Policies of schedules at their firing, one by one."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db.claims import LedgerRepository
from db.executions import Bell, Fenced, ServiceTaskRepository
from db.transaction import Database
from scheduler.due import Due
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import Person, person, replay_from, scalar, set_clock, worker
from tests.scheduler.messages import ready
from tests.scheduler.opened import FIRST, HOUR, NAME, open_due, set_policies
from worker.bells.ringing import Bells
from worker.inspection.reach import Reach
from worker.inspection.waits import explain

MINUTE = timedelta(minutes=1)
ROWS = "SELECT status || coalesce(': ' || reason, '') AS told FROM service_task_execution ORDER BY scheduled_for, id"


async def scheduled(database: Database, **policies: object) -> Person:
    """Leave one hourly schedule with these policies, one subscriber, and the clock before its first slot."""
    await replay_from(database)
    who = await person(database)
    await set_policies(database, **policies)
    return who


async def fired_at(database: Database, due: Due, at: datetime) -> list[str]:
    """Fire all that is due at a moment. Returns what every execution there is says."""
    await set_clock(database, at)
    while await due.fire(False):
        pass
    return await rows(database)


async def rows(database: Database) -> list[str]:
    async with database.reading(None) as session:
        return list((await session.execute(text(ROWS))).scalars())


async def schedule(database: Database) -> Mapping[str, Any]:
    async with database.reading(None) as session:
        found = await session.execute(text("SELECT * FROM schedules WHERE name = :name"), {"name": NAME})
        return dict(found.mappings().one())


async def test_a_slot_runs_until_its_grace_and_not_after(database: Database, bells: Bells) -> None:
    await scheduled(database, grace_seconds=300)
    due = await open_due(database, bells)
    assert await fired_at(database, due, FIRST + 5 * MINUTE) == ["queued"]
    _, late = await fired_at(database, due, FIRST + HOUR + 6 * MINUTE)
    assert late == "skipped: late: it could begin 300 s after its slot, and it was 2024-01-02 05:06:00 UTC"
    assert len(await ready(bells, "strategy")) == 1


@pytest.mark.parametrize(
    ("catch_up", "told"),
    [
        ("none", ["skipped"]),
        ("last", ["queued"]),
        ("all", ["queued", "queued", "queued"]),
    ],
)
async def test_of_missed_slots_none_the_last_or_all_are_caught_up(
    database: Database, bells: Bells, catch_up: str, told: list[str]
) -> None:
    await scheduled(database, catch_up=catch_up)
    due = await open_due(database, bells)
    assert [one.split(":")[0] for one in await fired_at(database, due, FIRST + 2 * HOUR + 5 * MINUTE)] == told
    assert (await schedule(database))["next_due_at"] == FIRST + 3 * HOUR


async def test_what_catches_nothing_up_fires_when_it_is_on_time(database: Database, bells: Bells) -> None:
    await scheduled(database, catch_up="none")
    due = await open_due(database, bells)
    assert await fired_at(database, due, FIRST + timedelta(seconds=30)) == ["queued"]


async def test_two_at_once_are_allowed_where_nothing_is_said(database: Database, bells: Bells) -> None:
    await scheduled(database)
    due = await open_due(database, bells)
    await fired_at(database, due, FIRST)
    assert await fired_at(database, due, FIRST + HOUR) == ["queued", "queued"]


async def test_a_slot_is_skipped_while_the_one_before_it_is_not_over(database: Database, bells: Bells) -> None:
    await scheduled(database, overlap="skip")
    due = await open_due(database, bells)
    await fired_at(database, due, FIRST)
    first, second = await fired_at(database, due, FIRST + HOUR)
    assert (first, second[:16]) == ("queued", "skipped: overlap")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'success' WHERE status = 'queued'"))
    assert (await fired_at(database, due, FIRST + 2 * HOUR))[-1] == "queued"


async def test_a_slot_waits_for_the_end_of_the_one_before_it_and_says_so(database: Database, bells: Bells) -> None:
    await scheduled(database, overlap="queue")
    due = await open_due(database, bells)
    await fired_at(database, due, FIRST)
    assert await fired_at(database, due, FIRST + HOUR) == ["queued", "waiting"]
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    assert await sweep.ring_waiting() == 0
    second = int(str(await scalar(database, "SELECT id FROM service_task_execution WHERE status = 'waiting'")))
    why = await explain(Reach(database, bells.redis), second)
    assert why is not None
    assert why.reasons[0].code == "overlap"
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'failed' WHERE status = 'queued'"))
    assert await sweep.ring_waiting() == 2, "queued, and rung"
    assert await scalar(database, "SELECT status FROM service_task_execution WHERE id = :id", id=second) == "queued"


async def test_a_slot_cancels_the_one_before_it_and_fences_who_runs_it(database: Database, bells: Bells) -> None:
    await scheduled(database, overlap="cancel")
    due, name = await open_due(database, bells), await worker(database)
    await fired_at(database, due, FIRST)
    async with database.transaction(None) as session:
        (running,), _ = await LedgerRepository(session).claim(await _bells(database), name)
    first, second = await fired_at(database, due, FIRST + HOUR)
    assert (first[:18], second) == ("cancelled: overlap", "queued")
    async with database.transaction(None) as session:
        with pytest.raises(Fenced):
            await ServiceTaskRepository(session).fence(running)


async def _bells(database: Database) -> list[Bell]:
    async with database.reading(None) as session:
        columns = "task_name, queue, scheduled_for, id, generation"
        found = await session.execute(text(f"SELECT {columns} FROM service_task_execution"))
        return [Bell(*row) for row in found]


async def test_a_schedule_ends_after_its_last_run(database: Database, bells: Bells) -> None:
    await scheduled(database, max_runs=2, catch_up="all")
    due = await open_due(database, bells)
    assert await fired_at(database, due, FIRST + 4 * HOUR) == ["queued", "queued"]
    stands = await schedule(database)
    assert (stands["runs"], stands["next_due_at"].year) == (2, 9999)


async def test_a_schedule_fires_between_its_start_and_its_end(database: Database, bells: Bells) -> None:
    await scheduled(database, starts_at=FIRST + HOUR, ends_at=FIRST + 2 * HOUR, catch_up="all")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET next_due_at = NULL WHERE enabled"))
    due = await open_due(database, bells)
    await due.plan_new(False)
    assert await fired_at(database, due, FIRST + 5 * HOUR) == ["queued", "queued"]
    slots = "SELECT array_agg(scheduled_for ORDER BY scheduled_for) FROM service_task_execution"
    assert await scalar(database, slots) == [FIRST + HOUR, FIRST + 2 * HOUR]


async def test_a_deadline_of_its_own_counts_from_the_slot(database: Database, bells: Bells) -> None:
    await scheduled(database, useful_seconds=90)
    due = await open_due(database, bells)
    await fired_at(database, due, FIRST + MINUTE)
    assert await scalar(database, "SELECT useful_until FROM service_task_execution") == FIRST + timedelta(seconds=90)
    _, late = await fired_at(database, due, FIRST + HOUR + 2 * MINUTE)
    assert late == "skipped: missed: no scheduler ran until 2024-01-02 05:02 UTC"


@pytest.mark.parametrize(("until", "made"), [(FIRST + MINUTE, 0), (FIRST, 1), (None, 1)])
async def test_a_paused_subscription_fires_again_when_its_pause_is_over(
    database: Database, bells: Bells, until: datetime | None, made: int
) -> None:
    await scheduled(database)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedule_subscriptions SET paused_until = :until"), {"until": until})
    due = await open_due(database, bells)
    assert len(await fired_at(database, due, FIRST)) == made
