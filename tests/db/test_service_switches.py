"""Starts and stops of a service: what each changes, what it cancels, and what it waits for."""

import asyncio

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import LedgerRepository
from db.executions import Bell
from db.service_status import ServiceBusyError, ServiceStatusRepository
from db.transaction import Database
from scheduler.wakeups import Wakeups
from tests.people import person, queued, scalar, worker
from tests.services import execution, order, standing, switched

MADE = """
    INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of, rung_at)
    VALUES ('2024-01-02', 'sell_monitor', :user_id, :account_id, 'orders', 'queued', '2024-01-02', now())
"""
STATE = "SELECT concat_ws(' ', service_running, generation, changed_by, updated_at) FROM service_status"


async def test_each_start_and_stop_is_a_generation_of_its_own_with_who_and_when(database: Database) -> None:
    who = await person(database)
    assert await scalar(database, "SELECT generation FROM service_status") == 1, "the person was started"
    stopped = await switched(database, who, "ravi", running=False)
    assert (stopped.running, stopped.changed, stopped.generation, stopped.by) == (False, True, 2, "ravi")
    started = await switched(database, who, "priya", running=True)
    assert (started.running, started.changed, started.generation, started.by) == (True, True, 3, "priya")
    assert await scalar(database, "SELECT started_at > stopped_at FROM service_status") is True
    assert started.since is not None
    assert stopped.since is not None
    assert started.since > stopped.since


@pytest.mark.parametrize("running", [True, False])
async def test_switched_again_it_says_how_it_is_and_changes_nothing(database: Database, running: bool) -> None:
    who = await person(database)
    first = await switched(database, who, "ravi", running=running)
    before = await scalar(database, STATE)
    again = await switched(database, who, "priya", running=running)
    assert (again.changed, again.running, again.generation) == (False, running, first.generation)
    assert again.by == ("a test" if running else "ravi")
    assert await scalar(database, STATE) == before


async def test_of_two_who_stop_at_once_one_does_it(database: Database) -> None:
    who = await person(database)
    both = await asyncio.gather(*(switched(database, who, name, running=False) for name in ("ravi", "priya")))
    assert sorted(one.changed for one in both) == [False, True]
    assert {one.generation for one in both} == {2}
    assert len({one.by for one in both}) == 1


UNBEGUN = (("waiting", False), ("queued", False), ("queued", True), ("retrying", False))
TASKS_THAT_BEGIN = ("buy_orders", "sell_monitor", "eod_cleanup", "order_sync", "reconcile")
REASONS = "SELECT string_agg(DISTINCT reason, ', ') FROM service_task_execution WHERE status = 'cancelled'"


async def test_what_has_not_begun_is_cancelled_under_the_next_generation(database: Database) -> None:
    who, other = await person(database), await person(database, "bala")
    mine = [
        await execution(database, task, who, status, rung=rung) for task in TASKS_THAT_BEGIN for status, rung in UNBEGUN
    ]
    theirs = [await execution(database, task, other) for task in TASKS_THAT_BEGIN]
    assert (await switched(database, who, running=False)).cancelled == len(mine)
    assert {await standing(database, one) for one in mine} == {("cancelled", 2)}
    assert {await standing(database, one) for one in theirs} == {("queued", 1)}
    assert await scalar(database, REASONS) == "the service was stopped by ravi before it began"
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE is_open") == len(theirs)


async def test_what_runs_goes_on(database: Database) -> None:
    who = await person(database)
    running = [await execution(database, task, who, "running") for task in ("buy_orders", "submit", "order_sync")]
    assert (await switched(database, who, running=False)).cancelled == 0
    assert {await standing(database, one) for one in running} == {("running", 1)}


async def test_while_an_order_lives_it_is_looked_after_and_what_is_on_its_way_is_seen_to_its_end(
    database: Database,
) -> None:
    who = await person(database)
    await order(database, who, "parked")
    kept = {
        await execution(database, task, who, status): status
        for task in ("order_sync", "reconcile", "submit", "notify")
        for status in ("queued", "retrying")
    }
    ended = await execution(database, "position_monitor", who)
    assert (await switched(database, who, running=False)).cancelled == 1
    assert {one: await standing(database, one) for one in kept} == {one: (was, 1) for one, was in kept.items()}
    assert await standing(database, ended) == ("cancelled", 2)


async def test_an_order_that_is_final_needs_no_look(database: Database) -> None:
    who = await person(database)
    await order(database, who, "filled")
    sync = await execution(database, "order_sync", who)
    await switched(database, who, running=False)
    assert await standing(database, sync) == ("cancelled", 2)


async def test_the_message_of_what_was_cancelled_is_a_copy(database: Database) -> None:
    who = await person(database)
    bell = await queued(database, "sell_monitor", who)
    await switched(database, who, running=False)
    assert await claimed(database, bell) == 0


async def test_who_claims_at_that_moment_has_begun_and_a_stop_takes_another_turn(database: Database) -> None:
    who = await person(database)
    bell = await queued(database, "sell_monitor", who)
    await worker(database)
    async with database.transaction(None) as claim:
        won, _ = await LedgerRepository(claim).claim([bell], "w1")
        assert len(won) == 1
        with pytest.raises(ServiceBusyError, match="1 executions of user"):
            await switched(database, who, running=False)
        assert await scalar(database, "SELECT service_running FROM service_status") is True
    assert (await switched(database, who, running=False)).cancelled == 0
    assert await standing(database, bell.execution_id) == ("running", 1)


async def test_what_is_being_made_for_a_service_is_cancelled_by_a_stop_that_waits_for_it(database: Database) -> None:
    who = await person(database)
    async with database.transaction(None) as fan_out:
        await ServiceStatusRepository(fan_out).hold_switches()
        stopping = asyncio.create_task(switched(database, who, running=False))
        await fan_out.execute(text(MADE), {"user_id": who.user_id, "account_id": who.account_id})
        done, _ = await asyncio.wait([stopping], timeout=0.2)
        assert not done
    assert (await stopping).cancelled == 1
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE is_open") == 0


async def test_who_makes_executions_after_a_stop_waits_for_it_and_sees_it(database: Database) -> None:
    who = await person(database)

    async def seen() -> bool:
        async with database.transaction(None) as fan_out:
            await ServiceStatusRepository(fan_out).hold_switches()
            return await ServiceStatusRepository(fan_out).runs(who.user_id)

    async with database.transaction(None) as session:
        await ServiceStatusRepository(session).stop(who.user_id, "ravi")
        making = asyncio.create_task(seen())
        done, _ = await asyncio.wait([making], timeout=0.2)
        assert not done
    assert not await making


async def test_a_claim_that_comes_during_a_stop_wins_nothing(database: Database) -> None:
    who = await person(database)
    bell = await queued(database, "sell_monitor", who)
    async with database.transaction(None) as session:
        assert (await ServiceStatusRepository(session).stop(who.user_id, "ravi")).cancelled == 1
        assert await claimed(database, bell) == 0
    assert await claimed(database, bell) == 0


async def test_schedulers_hear_of_it_once_it_is_committed(database: Database, urls: ServerUrls) -> None:
    who = await person(database)
    wakeups = Wakeups(urls.database)
    await wakeups.wait(0.01)
    async with database.transaction(None) as session:
        await ServiceStatusRepository(session).stop(who.user_id, "ravi")
        assert not await wakeups.wait(0.05)
    assert await wakeups.wait(5.0)
    await switched(database, who, running=False)
    assert not await wakeups.wait(0.05), "nothing changed"
    await wakeups.close()


async def test_nobody_says_of_a_stopped_service_that_it_is_looked_after(database: Database) -> None:
    who = await person(database)
    await switched(database, who, running=False)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_status SET last_heartbeat = '2024-01-01'"))
        assert not await ServiceStatusRepository(session).beat(10)
    assert await scalar(database, "SELECT last_heartbeat = '2024-01-01' FROM service_status") is True


async def claimed(database: Database, bell: Bell) -> int:
    await worker(database)
    async with database.transaction(None) as session:
        won, _ = await LedgerRepository(session).claim([bell], "w1")
    return len(won)


async def test_a_user_may_switch_his_own_service_and_no_other(database: Database) -> None:
    who, other = await person(database), await person(database, "bala")
    async with database.transaction(who.user_id) as session:
        assert (await ServiceStatusRepository(session).stop(who.user_id, "asha")).changed
    assert await running(database) == [(who.user_id, False), (other.user_id, True)]


async def running(database: Database) -> list[tuple[int, bool]]:
    async with database.reading(None) as session:
        rows = await session.execute(text("SELECT user_id, service_running FROM service_status ORDER BY user_id"))
        return [(row.user_id, row.service_running) for row in rows]
