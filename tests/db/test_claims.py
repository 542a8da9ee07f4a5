"""The ledger's statements on a real Postgres, two connections at a time."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.channels import MORE_UNDER_WAY, SETTLED_CHANNEL
from db.claims import LedgerRepository, NoLeaseError, Settlement, Standing
from db.configs import UserTradingConfigRepository
from db.executions import Bell, Execution, Fenced, FollowUp, ServiceTaskRepository
from db.hand_backs import HandBackRepository
from db.losses import LossRepository
from db.rings import RingRepository
from db.shares import Place, ShareRepository
from db.transaction import Database
from db.workers import WorkerRepository
from tests.people import MORNING, Person, person, queued, replay_from, scalar, set_clock, worker
from worker.messages import QUEUES


async def claim(database: Database, bells: list[Bell], name: str) -> list[Execution]:
    async with database.transaction(None) as session:
        won, _ = await LedgerRepository(session).claim(bells, name)
    return won


async def settle(database: Database, settlement: Settlement) -> dict[int, float | None]:
    async with database.transaction(None) as session:
        return await LedgerRepository(session).settle([settlement], "w1")


async def standing(database: Database, bell: Bell) -> Standing:
    async with database.transaction(None) as session:
        [found] = (await LedgerRepository(session).standings([bell])).values()
    return found


async def ring_next(database: Database, who: Person, share: int = 8) -> list[Bell]:
    """Ring what is due of a user and has room, as who settles does."""
    async with database.transaction(None) as session:
        return await ShareRepository(session, share).ring_next([who.user_id], QUEUES)


async def unrung(database: Database, who: Person, count: int) -> list[Bell]:
    """Queue executions of a user that nobody has rung."""
    bells = [await queued(database, "order_sync", who, subject=str(number)) for number in range(count)]
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET rung_at = NULL WHERE user_id = :id"), {"id": who.user_id}
        )
    return bells


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
    async with database.transaction(None) as session:
        assert await LedgerRepository(session).claim([bell], name) == ([], {f"{bell.execution_id}.1": "late"})
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


async def test_what_has_ended_is_told_with_no_wait_and_what_was_not_held_is_not_told(database: Database) -> None:
    bells = [await queued(database, "prices", subject=str(number)) for number in range(2)]
    ended, other = await claim(database, bells, await worker(database))
    async with database.transaction(None) as session:
        both = [Settlement(ended, "success", 0.1), Settlement(replace(other, generation=7), "success", 0.1)]
        assert await LedgerRepository(session).settle(both, "w1") == {ended.id: None}
    assert await settle(database, Settlement(ended, "failed", 0.1)) == {}


async def test_of_a_user_no_more_than_the_share_of_a_queue_is_rung_oldest_first(database: Database) -> None:
    asha, ravi = await person(database), await person(database, "ravi")
    bells = await unrung(database, asha, 5)
    await unrung(database, ravi, 1)
    assert await ring_next(database, asha, 2) == bells[:2]
    assert await ring_next(database, asha, 2) == []
    [held] = await claim(database, [bells[1]], await worker(database))
    assert await ring_next(database, asha, 2) == [], "one that runs keeps its place"
    await settle(database, Settlement(held, "success", 0.1))
    assert await ring_next(database, asha, 2) == [bells[2]]
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE rung_at IS NOT NULL") == 3


async def test_a_retry_that_waits_takes_no_place_of_its_users_share(database: Database) -> None:
    asha = await person(database)
    bells = await unrung(database, asha, 2)
    [first] = await ring_next(database, asha, 1)
    [held] = await claim(database, [first], await worker(database))
    await settle(database, Settlement(held, "retrying", 0.1, error_type="Retry", error="away", backoff_seconds=3600))
    assert await ring_next(database, asha, 1) == [bells[1]]


async def test_many_who_ring_the_next_of_one_user_at_once_never_pass_the_share(database: Database) -> None:
    asha = await person(database)
    await unrung(database, asha, 20)
    rung = await asyncio.gather(*(ring_next(database, asha, 3) for _ in range(4)))
    assert sorted(len(bells) for bells in rung) == [0, 0, 0, 3]


async def test_why_a_bell_won_nothing_is_told_apart(database: Database) -> None:
    free, running, over = [await queued(database, "prices", subject=str(number)) for number in range(3)]
    held = await claim(database, [running, over], await worker(database))
    await settle(database, Settlement(held[1], "success", 0.1))
    assert await standing(database, free) == Standing("queued", is_claimable=True, is_suspect=False)
    assert await standing(database, replace(free, generation=2)) == Standing("queued", False, False)
    assert await standing(database, running) == Standing("running", False, False)
    assert await standing(database, over) == Standing("success", False, False)
    assert await standing(database, replace(free, execution_id=10**6)) == Standing(None, False, False)


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


async def test_in_a_replay_a_settle_says_whether_more_is_under_way_unless_something_waits_for_it(
    database: Database, urls: ServerUrls
) -> None:
    await worker(database)
    asha = await person(database)
    await replay_from(database)
    bells = [await queued(database, "order_sync", asha, subject=str(number)) for number in range(3)]
    first, second, third = await claim(database, bells, "w1")
    heard: asyncio.Queue[str] = asyncio.Queue()
    line = await asyncpg.connect(urls.database)
    await line.add_listener(SETTLED_CHANNEL, lambda *said: heard.put_nowait(str(said[-1])))

    async def ended(execution: Execution) -> str:
        async with database.transaction(None) as session:
            await LedgerRepository(session).settle([Settlement(execution, "success", 0.1)], "w1")
            await LedgerRepository(session).notify()
        return await asyncio.wait_for(heard.get(), 10)

    assert await ended(first) == MORE_UNDER_WAY
    await queued(database, "buy_orders", asha, rung=False)
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET status = 'waiting' WHERE task_name = 'buy_orders'")
        )
    assert await ended(second) == "", "something may wait for it"
    async with database.transaction(None) as session:
        await session.execute(text("DELETE FROM service_task_execution WHERE status = 'waiting'"))
    assert await ended(third) == "", "it was the last"
    await line.close()
