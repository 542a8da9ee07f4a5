"""After a stop nothing begins but looks at the broker's book, and those only while an order is not final."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import LedgerRepository, Settlement
from db.executions import FollowUp, ServiceTaskRepository
from db.transaction import Database
from tests.flow.simulation import days_from
from tests.people import MORNING, person, queued, scalar, worker
from tests.services import order, standing
from worker.bells.ringing import Bells
from worker.services import start_service, stop_service

# Of session days that open at 09:15 and close at 15:30, in UTC.
NOON, SECOND_EVENING, THIRD_EVENING = (
    datetime(2024, 1, 2, 6, 30, tzinfo=UTC), datetime(2024, 1, 3, 14, tzinfo=UTC), datetime(2024, 1, 4, 18, tzinfo=UTC),
)  # fmt: skip
BEGUN = (
    "SELECT string_agg(concat_ws(' ', task_name, to_char(scheduled_for AT TIME ZONE 'Asia/Kolkata', 'DD HH24:MI')), ', ' "
    "ORDER BY scheduled_for, task_name) FROM service_task_execution WHERE user_id = :user_id AND scheduled_for > :since"
)


async def test_a_stopped_service_syncs_until_its_orders_are_final_and_does_nothing_else(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    who, other = await person(database), await person(database, "bala")
    await order(database, who, "parked")
    async with days_from(database, urls, bells, MORNING, timedelta(days=3)) as days:
        await days.run_until(NOON)
        stopped = await stop_service(database, who.user_id, "ravi")
        await stop_service(database, other.user_id, "ravi")
        assert stopped.live_orders == 1
        await days.run_until(SECOND_EVENING)
        async with database.transaction(None) as session:
            await session.execute(text("UPDATE orders SET status = 'expired'"))
        await days.run_until(THIRD_EVENING)
    assert await scalar(database, BEGUN, user_id=other.user_id, since=NOON) is None
    assert await scalar(database, BEGUN, user_id=who.user_id, since=NOON) == (
        "order_sync 02 15:25, order_sync 02 15:45, order_sync 02 18:00, order_sync 03 08:35, order_sync 03 09:15, "
        "order_sync 03 15:25, order_sync 03 15:45, order_sync 03 18:00"
    )


async def test_what_runs_at_a_stop_ends_as_it_would_have_and_what_it_leaves_behind_goes_on(database: Database) -> None:
    who = await person(database)
    bell = await queued(database, "buy_orders", who)
    await worker(database)
    async with database.transaction(None) as session:
        ((execution,), _) = await LedgerRepository(session).claim([bell], "w1")
    await order(database, who, "planned")
    await stop_service(database, who.user_id, "ravi")
    async with database.transaction(None) as session:
        tasks = ServiceTaskRepository(session)
        await tasks.fence(execution)
        await tasks.follow_up(execution, [FollowUp("submit", "orders", "1:1", MORNING, None)])
    async with database.transaction(None) as session:
        settled = await LedgerRepository(session).settle([Settlement(execution, "success", 0.1, '{"seen": 1}')], "w1")
    assert settled == {execution.id: None}
    assert await standing(database, execution.id) == ("success", 1)
    assert await scalar(database, "SELECT status FROM service_task_execution WHERE task_name = 'submit'") == "queued"


async def test_a_service_that_is_started_again_does_not_begin_what_its_stop_cancelled(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    who = await person(database)
    bell = await queued(database, "sell_monitor", who, rung=False)
    async with days_from(database, urls, bells, MORNING - timedelta(minutes=1), timedelta(days=1)) as days:
        assert (await stop_service(database, who.user_id, "ravi")).switched.cancelled == 1
        started = await start_service(database, who.user_id, "ravi")
        assert started.switched is not None
        assert started.switched.generation == 3
        await days.run_until(NOON)
    assert await standing(database, bell.execution_id) == ("cancelled", 2)
    begun = "order_sync 02 08:35, order_sync 02 09:15"
    assert await scalar(database, BEGUN, user_id=who.user_id, since=MORNING) == begun
