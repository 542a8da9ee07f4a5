"""Prerequisites: whatever the order of two commits, no waiting execution is lost, and none waits for nothing."""

import asyncio
import json
from datetime import timedelta

from sqlalchemy import text

from db.claims import LedgerRepository, Settlement
from db.executions import Execution, ServiceTaskRepository
from db.sweeps import SweepRepository
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.replay import Replay
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import MORNING, Person, person, queued, replay_from, scalar, set_clock, worker
from worker.bells.ringing import Bells

NEEDS: list[dict[str, object]] = [
    {"task": "analysis", "subject": "dip:abc", "account": False, "after": MORNING.isoformat(), "repeats": False},
    {"task": "order_sync", "subject": None, "account": True, "after": MORNING.isoformat(), "repeats": False},
]


async def waiting(database: Database, who: Person, needs: object = NEEDS, hours: int = 5) -> None:
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of, "
                "waiting_for, useful_until) VALUES (:at, 'buy_orders', :user_id, :account_id, 'strategy', 'waiting', :at, "
                "CAST(:needs AS jsonb), :until)"
            ),
            {
                "at": MORNING,
                "user_id": who.user_id,
                "account_id": who.account_id,
                "needs": json.dumps(needs),
                "until": MORNING + timedelta(hours=hours),
            },
        )


async def run(database: Database, task: str, who: Person | None, subject: str = "", status: str = "success") -> None:
    """Run a prerequisite to its end."""
    bell = await queued(database, task, who, subject)
    async with database.transaction(None) as session:
        [held], _ = await LedgerRepository(session).claim([bell], "w1")
    await settle(database, held, status)


async def settle(database: Database, held: Execution, status: str = "success") -> None:
    error = {"error_type": "E", "error": "e"} if status == "failed" else {}
    async with database.transaction(None) as session:
        await LedgerRepository(session).settle([Settlement(held, status, 0.1, **error)], "w1")  # type: ignore[arg-type]


async def no_schedules(database: Database) -> None:
    """Leave nothing to fire, so that the clock is held by executions alone."""
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET enabled = false"))


def sweep(database: Database, bells: Bells) -> Sweep:
    return Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)


STATUS = "SELECT status FROM service_task_execution WHERE task_name = 'buy_orders'"


async def test_a_row_is_ready_whether_its_prerequisite_settled_before_it_was_made(
    database: Database, bells: Bells
) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await run(database, "analysis", None, "dip:abc")
    await run(database, "order_sync", asha)
    await waiting(database, asha)
    await sweep(database, bells).ring_ready()
    assert await scalar(database, STATUS) == "queued"


async def test_or_after_it_was_made_and_looked_at(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await waiting(database, asha)
    await sweep(database, bells).ring_ready()
    assert await scalar(database, STATUS) == "waiting"
    await run(database, "order_sync", asha)
    await run(database, "analysis", None, "dip:abc")
    await sweep(database, bells).ring_ready()
    assert await scalar(database, STATUS) == "queued"


async def test_a_settle_not_yet_committed_while_the_row_is_made_is_not_lost(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await run(database, "order_sync", asha)
    bell = await queued(database, "analysis", None, "dip:abc")
    async with database.transaction(None) as session:
        [held], _ = await LedgerRepository(session).claim([bell], "w1")
    async with database.transaction(None) as slow:
        await LedgerRepository(slow).settle([Settlement(held, "success", 0.1)], "w1")
        await waiting(database, asha)
        await sweep(database, bells).ring_ready()
        assert await scalar(database, STATUS) == "waiting", "the settle is not committed yet"
    await sweep(database, bells).ring_ready()
    assert await scalar(database, STATUS) == "queued"


async def test_who_wants_the_newest_sync_waits_for_the_one_under_way(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha, bala = await person(database, "asha"), await person(database, "bala")
    await worker(database)
    await run(database, "order_sync", asha, "earlier")
    for who in (asha, bala):
        await waiting(database, who, [{**NEEDS[1], "newest": True}])
    later = await queued(database, "order_sync", asha, "later")
    await run(database, "order_sync", bala)
    await sweep(database, bells).ring_ready()
    query = "SELECT string_agg(status, ',' ORDER BY user_id) FROM service_task_execution WHERE task_name = 'buy_orders'"
    assert await scalar(database, query) == "waiting,queued"
    async with database.transaction(None) as session:
        [held], _ = await LedgerRepository(session).claim([later], "w1")
    await settle(database, held, "failed")
    await sweep(database, bells).ring_ready()
    assert await scalar(database, query) == "queued,queued"


async def test_another_accounts_sync_or_another_parameter_set_does_not_count(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha, bala = await person(database, "asha"), await person(database, "bala")
    await worker(database)
    await waiting(database, asha)
    await run(database, "order_sync", bala)
    await run(database, "analysis", None, "dip:xyz")
    await sweep(database, bells).ring_ready()
    assert await scalar(database, STATUS) == "waiting"


async def test_yesterdays_success_does_not_count(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    tomorrow = [{**need, "after": (MORNING + timedelta(days=1)).isoformat()} for need in NEEDS]
    await waiting(database, asha, tomorrow)
    await run(database, "analysis", None, "dip:abc")
    await run(database, "order_sync", asha)
    await sweep(database, bells).ring_ready()
    assert await scalar(database, STATUS) == "waiting"


async def test_a_row_whose_prerequisite_failed_for_good_ends_skipped_saying_so(
    database: Database, bells: Bells
) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await waiting(database, asha)
    await run(database, "order_sync", asha)
    await run(database, "analysis", None, "dip:abc", "failed")
    await sweep(database, bells).heal()
    reason = "SELECT status || ': ' || reason FROM service_task_execution WHERE task_name = 'buy_orders'"
    assert await scalar(database, reason) == "skipped: it can no longer have analysis dip:abc"


async def test_a_row_at_its_deadline_ends_skipped_naming_what_it_waited_for(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await waiting(database, asha, hours=-1)
    await sweep(database, bells).heal()
    reason = "SELECT status || ': ' || reason FROM service_task_execution WHERE task_name = 'buy_orders'"
    assert "late: at its deadline it still waited for analysis dip:abc, order_sync" in str(
        await scalar(database, reason)
    )


async def test_a_missing_sync_is_made_at_once(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await waiting(database, asha)
    await sweep(database, bells).heal()
    made = "SELECT count(*) FROM service_task_execution WHERE task_name = 'order_sync' AND status = 'queued'"
    assert await scalar(database, made) == 1


async def test_the_replays_clock_stands_while_anything_due_is_unfinished(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await queued(database, "order_sync", asha)
    replay = Replay(database, Ringer(bells), share=8)
    assert await replay.advance() is False
    assert await scalar(database, "SELECT market_now()") == MORNING


async def test_the_replays_clock_never_leaves_a_row_that_became_ready(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await waiting(database, asha)
    await run(database, "order_sync", asha)
    await run(database, "analysis", None, "dip:abc")
    await no_schedules(database)
    assert await Replay(database, Ringer(bells), share=8).advance() is True
    assert await scalar(database, STATUS) == "queued"
    assert await scalar(database, "SELECT market_now()") == MORNING


async def test_the_replays_clock_waits_for_schedules_that_are_not_planned_yet(database: Database, bells: Bells) -> None:
    await replay_from(database)
    assert await Replay(database, Ringer(bells), share=8).advance() is False
    await no_schedules(database)
    assert await Replay(database, Ringer(bells), share=8).advance() is True


async def test_the_replays_clock_waits_for_a_row_another_scheduler_is_making_ready(
    database: Database, bells: Bells
) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await waiting(database, asha)
    await run(database, "order_sync", asha)
    await run(database, "analysis", None, "dip:abc")
    await no_schedules(database)
    async with database.transaction(None) as other:
        await SweepRepository(other).hold_clock()
        await SweepRepository(other).make_ready(10)
        moving = asyncio.create_task(Replay(database, Ringer(bells), share=8).advance())
        done, _ = await asyncio.wait([moving], timeout=0.2)
        assert not done, "the clock moved under a row that is being made ready"
    assert await moving is False
    assert await scalar(database, "SELECT market_now()") == MORNING


async def test_after_one_failed_sync_another_is_made_and_nobody_gives_up(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await worker(database)
    await waiting(database, asha, [{**NEEDS[1], "repeats": True}])
    await run(database, "order_sync", asha, status="failed")
    await set_clock(database, MORNING + timedelta(minutes=5))
    await sweep(database, bells).heal()
    assert await scalar(database, STATUS) == "waiting"
    made = "SELECT count(*) FROM service_task_execution WHERE task_name = 'order_sync' AND status = 'queued'"
    assert await scalar(database, made) == 1


async def test_a_queued_row_past_its_use_is_ended_by_the_sweep(database: Database, bells: Bells) -> None:
    await replay_from(database)
    await queued(database, "prices")
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET useful_until = :at"), {"at": MORNING - timedelta(minutes=1)}
        )
    await sweep(database, bells).heal()
    assert await scalar(database, "SELECT status FROM service_task_execution") == "skipped"


async def test_nobody_is_declared_dead_by_a_sweep_that_has_just_begun(database: Database, bells: Bells) -> None:
    await worker(database, "slow", seconds=0)
    await worker(database, "gone")
    async with database.transaction(None) as session:
        await WorkerRepository(session).expire("gone")
    await sweep(database, bells).heal()
    ended = "SELECT string_agg(name, ',') FROM worker_processes WHERE ended_at IS NOT NULL"
    assert await scalar(database, ended) == "gone"


async def test_a_row_locked_by_a_frozen_worker_does_not_hold_the_sweep_up(database: Database, bells: Bells) -> None:
    asha = await person(database)
    await worker(database)
    rung = [await queued(database, "order_sync", asha, str(number)) for number in range(2)]
    async with database.transaction(None) as session:
        [frozen, _], _ = await LedgerRepository(session).claim(rung, "w1")
    async with database.transaction(None) as session:
        await WorkerRepository(session).expire("w1")
    statuses = "SELECT string_agg(status, ',' ORDER BY id) FROM service_task_execution"
    ended = "SELECT count(*) FROM worker_processes WHERE ended_at IS NOT NULL"
    async with database.transaction(asha.user_id) as step:
        await ServiceTaskRepository(step).fence(frozen)
        await sweep(database, bells).heal()
        assert (await scalar(database, statuses), await scalar(database, ended)) == ("running,queued", 0)
    await sweep(database, bells).heal()
    assert (await scalar(database, statuses), await scalar(database, ended)) == ("queued,queued", 1)
