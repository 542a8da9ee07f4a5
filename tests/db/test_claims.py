"""The ledger's statements on a real Postgres, two connections at a time."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from db.claims import LedgerRepository, NoLeaseError, Settlement
from db.configs import UserTradingConfigRepository
from db.executions import Bell, Execution, Fenced, FollowUp, ServiceTaskRepository
from db.hand_backs import HandBackRepository
from db.losses import LossRepository
from db.rings import RingRepository
from db.shares import Place, ShareRepository
from db.transaction import Database
from db.workers import WorkerRepository
from tests.people import MORNING, person, queued, replay_from, scalar, set_clock, worker


async def claim(database: Database, bells: list[Bell], name: str) -> list[Execution]:
    async with database.transaction(None) as session:
        won, _ = await LedgerRepository(session).claim(bells, name)
    return won


async def settle(database: Database, settlement: Settlement) -> dict[int, float | None]:
    async with database.transaction(None) as session:
        return await LedgerRepository(session).settle([settlement], "w1")


async def due(database: Database, share: int = 8) -> list[Bell]:
    """Ring what is due and has room, as a scheduler does."""
    async with database.transaction(None) as session:
        shares = ShareRepository(session, share)
        bells, _ = await shares.ring_due(Place(), 100)
        return [*await shares.ring_shared(100), *bells]


async def test_an_execution_is_claimed_once_by_two_workers_at_a_time(database: Database) -> None:
    bells = [await queued(database, "prices", subject=str(number)) for number in range(20)]
    await worker(database, "w1")
    await worker(database, "w2")
    first, second = await asyncio.gather(claim(database, bells, "w1"), claim(database, bells[::-1], "w2"))
    assert sorted(one.id for one in [*first, *second]) == [bell.execution_id for bell in bells]
    assert await claim(database, bells, "w1") == []


async def test_a_copy_under_an_older_generation_claims_nothing(database: Database) -> None:
    bell = await queued(database, "prices")
    name = await worker(database)
    assert await claim(database, [replace(bell, generation=0)], name) == []


async def test_a_worker_without_a_live_lease_claims_nothing(database: Database) -> None:
    bell = await queued(database, "prices")
    await worker(database, "late", seconds=0)
    for name in ("late", "nobody"):
        with pytest.raises(NoLeaseError):
            await claim(database, [bell], name)


async def test_what_is_late_ends_skipped_with_the_reason_and_never_runs(database: Database) -> None:
    bell, name = await queued(database, "prices"), await worker(database)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET useful_until = :at"), {"at": MORNING})
    assert await claim(database, [bell], name) == []
    assert str(await scalar(database, "SELECT status || ' ' || reason FROM service_task_execution")).startswith(
        "skipped late"
    )


async def test_an_older_generation_settles_nothing(database: Database) -> None:
    [held] = await claim(database, [await queued(database, "prices")], await worker(database))
    await settle(database, Settlement(replace(held, generation=0), "success", 1.0))
    assert await scalar(database, "SELECT status FROM service_task_execution") == "running"


async def test_a_failure_leaves_its_traceback_its_attempt_and_its_count(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        await UserTradingConfigRepository(session).update(asha.user_id, {"rsi_period": 12}, "ravi", MORNING)
    [held] = await claim(database, [await queued(database, "order_sync", asha)], await worker(database))
    async with database.transaction(asha.user_id) as session:
        await UserTradingConfigRepository(session).update(asha.user_id, {"rsi_period": 14}, "ravi", MORNING)
    error = Settlement(held, "failed", 0.5, None, "ValueError: no", "ValueError", "no", "Traceback ... ValueError: no")
    await settle(database, error)
    assert await scalar(database, "SELECT traceback FROM error_logs") == "Traceback ... ValueError: no"
    assert await scalar(database, "SELECT config_version FROM error_logs") == 2, "the one it ran under"
    assert await scalar(database, "SELECT outcome FROM execution_attempts") == "failed"
    assert await scalar(database, "SELECT error_count || last_error FROM service_status") == "1no"


async def test_a_retry_waits_in_its_row_under_a_new_generation_and_no_gate_rings_it(database: Database) -> None:
    [held] = await claim(database, [await queued(database, "prices")], await worker(database))
    error = Settlement(held, "retrying", 0.1, error_type="Retry", error="away", backoff_seconds=3600)
    assert await settle(database, error) == {held.id: 3600.0}
    assert await scalar(database, "SELECT status || generation FROM service_task_execution") == "retrying2"
    assert await due(database) == []
    async with database.reading(None) as session:
        [retry] = await RingRepository(session).retries((MORNING, 0), 10)
    assert retry.bell.generation == 2
    assert 3590 < retry.seconds <= 3600


async def test_in_a_replay_a_retry_is_due_at_once(database: Database) -> None:
    await replay_from(database)
    [held] = await claim(database, [await queued(database, "prices")], await worker(database))
    error = Settlement(held, "retrying", 0.1, error_type="Retry", error="away", backoff_seconds=3600)
    assert await settle(database, error) == {held.id: 0.0}


async def test_follow_ups_are_rung_when_they_are_due_in_market_time(database: Database) -> None:
    await replay_from(database)
    asha = await person(database)
    [held] = await claim(database, [await queued(database, "buy_orders", asha)], await worker(database))
    later = MORNING.replace(hour=3)
    async with database.transaction(asha.user_id) as session:
        tasks = ServiceTaskRepository(session)
        await tasks.fence(held)
        now, then = [
            FollowUp("submit", "orders", subject, at, None) for subject, at in (("1:1", MORNING), ("2:1", later))
        ]
        await tasks.follow_up(held, [now, then])
        await tasks.follow_up(held, [now, then])
    await settle(database, Settlement(held, "success", 0.1))
    async with database.transaction(None) as session:
        rung = await ShareRepository(session, 8).ring_next([asha.user_id], ["orders", "default"])
    assert [bell.scheduled_for for bell in rung] == [MORNING]
    assert await due(database) == []
    await set_clock(database, later)
    assert [bell.scheduled_for for bell in await due(database)] == [later]


async def test_work_taken_back_fences_the_worker_that_held_it(database: Database) -> None:
    asha = await person(database)
    [held] = await claim(database, [await queued(database, "order_sync", asha)], await worker(database))
    async with database.transaction(None) as session:
        await WorkerRepository(session).expire("w1")
    async with database.transaction(None) as session:
        workers = WorkerRepository(session)
        dead = await workers.lock_dead(await workers.dead(patient=True), patient=True)
        assert len((await LossRepository(session).take_back(dead)).queued) == 1
        await workers.end(dead)
    with pytest.raises(Fenced):
        async with database.transaction(asha.user_id) as session:
            await ServiceTaskRepository(session).fence(held)
    await settle(database, Settlement(held, "success", 1.0))
    assert await scalar(database, "SELECT status || generation FROM service_task_execution") == "queued2"
    assert await scalar(database, "SELECT outcome FROM execution_attempts") == "lost"
    async with database.transaction(None) as session:
        assert await WorkerRepository(session).renew(["w1"], 60) == set()


async def test_what_never_began_is_handed_back_without_costing_an_attempt(database: Database) -> None:
    bell = await queued(database, "prices")
    await claim(database, [bell], await worker(database))
    async with database.transaction(None) as session:
        await HandBackRepository(session).hand_back([bell], "w1")
    assert await scalar(database, "SELECT status || attempt || generation FROM service_task_execution") == "queued02"
