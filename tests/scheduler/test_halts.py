"""What a pause held back has its turn as soon as it is over, unless its time is."""

from datetime import timedelta

from sqlalchemy import text

from db.transaction import Database
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.halted import halt, resume
from tests.people import MORNING, person, queued, replay_from, scalar, set_clock
from tests.scheduler.messages import ready
from tests.scheduler.opened import FIRST, open_due, set_policies
from trading.halts import Stops
from worker.bells.ringing import Bells


def sweep_of(database: Database, bells: Bells) -> Sweep:
    return Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)


async def test_after_a_pause_what_waited_is_rung_and_nothing_before(database: Database, bells: Bells) -> None:
    asha, bala = await person(database), await person(database, "bala")
    mine, theirs = [await queued(database, "buy_orders", who, rung=False) for who in (asha, bala)]
    shared = await queued(database, "prices", rung=False)
    ids = [
        await halt(database, Stops.TASKS, user_id=asha.user_id),
        await halt(database, Stops.TASKS, task_name="prices"),
    ]
    sweep = sweep_of(database, bells)
    assert await sweep.ring_ready() == 1
    assert await ready(bells) == [f"{theirs.execution_id}.1"]
    assert (await sweep.outlook()).unrung
    await resume(database, ids)
    assert await sweep.ring_ready() == 2
    assert sorted(await ready(bells)) == sorted(f"{bell.execution_id}.1" for bell in (theirs, mine, shared))


async def test_a_pause_that_expires_lets_go_by_itself(database: Database, bells: Bells) -> None:
    await replay_from(database)
    bell = await queued(database, "prices", rung=False)
    await halt(database, Stops.TASKS, until=MORNING + timedelta(minutes=5))
    sweep = sweep_of(database, bells)
    assert await sweep.ring_ready() == 0
    await set_clock(database, MORNING + timedelta(minutes=5))
    assert await sweep.ring_ready() == 1
    assert await ready(bells) == [f"{bell.execution_id}.1"]


async def test_what_a_pause_outlasts_ends_late_and_is_never_rung(database: Database, bells: Bells) -> None:
    await replay_from(database)
    await queued(database, "prices", rung=False)
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET useful_until = :at"), {"at": MORNING + timedelta(minutes=5)}
        )
    await halt(database, Stops.TASKS)
    sweep = sweep_of(database, bells)
    await sweep.heal()
    assert await scalar(database, "SELECT status FROM service_task_execution") == "queued"
    await set_clock(database, MORNING + timedelta(minutes=6))
    await sweep.heal()
    assert str(await scalar(database, "SELECT status || reason FROM service_task_execution")).startswith("skippedlate:")
    await resume(database)
    assert await sweep.ring_ready() == 0
    assert await ready(bells) == []


async def test_a_fan_out_makes_the_executions_of_who_is_paused_and_rings_those_of_the_others(
    database: Database, bells: Bells
) -> None:
    await replay_from(database)
    asha, _ = await person(database), await person(database, "bala")
    await set_policies(database)
    await halt(database, Stops.TASKS, user_id=asha.user_id)
    due = await open_due(database, bells)
    await set_clock(database, FIRST)
    while await due.fire(False):
        pass
    made = "SELECT count(*) FROM service_task_execution WHERE status = 'queued'"
    assert await scalar(database, made) == 2
    assert len(await ready(bells, "strategy")) == 1
    assert await scalar(database, f"{made} AND user_id = :id AND rung_at IS NULL", id=asha.user_id) == 1
    await resume(database)
    assert await sweep_of(database, bells).ring_ready() == 1
    assert len(await ready(bells, "strategy")) == 2
