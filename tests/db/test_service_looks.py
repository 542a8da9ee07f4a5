"""How a service stands: running, stale by the age of its heartbeat alone, stopping while anything is under way, stopped."""

import pytest
from sqlalchemy import event, text

from db.overview import OverviewRepository
from db.schedulers import SchedulerRepository
from db.service_looks import STALE_SECONDS, ServiceLookRepository
from db.transaction import Database
from tests.people import Person, person, replay_from
from tests.services import execution, order, switched


async def change(database: Database, statement: str, **values: object) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement), values)


async def state(database: Database, who: Person) -> str:
    async with database.reading(None) as session:
        return str((await ServiceLookRepository(session).one(who.user_id))["state"])


_AGED = """
    UPDATE service_status SET started_at = now() - interval '1 day',
           last_heartbeat = now() - make_interval(secs => :seconds)
"""


async def test_a_service_is_stale_by_the_age_of_its_heartbeat_and_again_running_by_the_next(database: Database) -> None:
    who = await person(database)
    assert await state(database, who) == "running", "it was started just now"
    for seconds, seen in ((STALE_SECONDS - 5, "running"), (STALE_SECONDS + 5, "stale"), (0, "running")):
        await change(database, _AGED, seconds=seconds)
        assert await state(database, who) == seen


async def test_whichever_scheduler_runs_looks_after_all_that_are_on(database: Database) -> None:
    who, off = await person(database), await person(database, "bala")
    await switched(database, off, running=False)
    await change(database, _AGED, seconds=STALE_SECONDS + 5)
    async with database.transaction(None) as session:
        await SchedulerRepository(session).beat("s1", "here", 1)
    assert await state(database, who) == "running"
    async with database.reading(None) as session:
        rows = await ServiceLookRepository(session).page(9)
    assert rows[0]["heartbeat_seconds"] < STALE_SECONDS / 2
    assert rows[1]["heartbeat_seconds"] > STALE_SECONDS, "one that is off is looked after by nobody"
    async with database.transaction(None) as session:
        await SchedulerRepository(session).stop("s1")
    assert await state(database, who) == "stale"


async def test_who_is_stale_is_counted(database: Database) -> None:
    people = [await person(database, name) for name in ("asha", "bala", "chitra")]
    await switched(database, people[0], running=False)
    await change(database, _AGED, seconds=STALE_SECONDS + 5)
    await change(database, "UPDATE service_status SET last_heartbeat = now() WHERE user_id = :id", id=people[1].user_id)
    async with database.reading(None) as session:
        counts = await OverviewRepository(session).counts()
    assert (counts["running"], counts["stale"]) == (2, 1)


async def test_in_a_replay_nothing_is_stale(database: Database) -> None:
    who = await person(database)
    await change(database, _AGED, seconds=STALE_SECONDS + 5)
    await replay_from(database)
    assert await state(database, who) == "running"


async def test_a_stopped_service_is_stopping_until_its_orders_are_final(database: Database) -> None:
    who = await person(database)
    await order(database, who, "parked")
    await switched(database, who, running=False)
    assert await state(database, who) == "stopping"
    await change(database, "UPDATE orders SET status = 'expired'")
    assert await state(database, who) == "stopped"


@pytest.mark.parametrize(("task", "status"), [("buy_orders", "running"), ("submit", "queued"), ("notify", "queued")])
async def test_a_stopped_service_is_stopping_until_what_is_in_flight_is_over(
    database: Database, task: str, status: str
) -> None:
    who, other = await person(database), await person(database, "bala")
    await execution(database, task, who, status)
    await switched(database, who, running=False)
    await switched(database, other, running=False)
    assert (await state(database, who), await state(database, other)) == ("stopping", "stopped")
    await change(database, "UPDATE service_task_execution SET status = 'success'")
    assert await state(database, who) == "stopped"


async def test_a_heartbeat_that_never_was_has_no_age(database: Database) -> None:
    who = await person(database)
    async with database.reading(None) as session:
        assert (await ServiceLookRepository(session).one(who.user_id))["heartbeat_seconds"] is None


async def test_the_last_execution_is_one_that_was_carried_out(database: Database) -> None:
    who = await person(database)
    await execution(database, "sell_monitor", who)
    done = await execution(database, "order_sync", who, "success")
    await switched(database, who, running=False)
    async with database.reading(None) as session:
        last = await ServiceLookRepository(session).last_execution(who.user_id, ["sell_monitor", "order_sync"])
    assert last is not None
    assert last["id"] == done


async def test_a_page_of_services_is_one_statement(database: Database) -> None:
    people = [await person(database, name) for name in ("asha", "bala", "chitra")]
    await switched(database, people[1], running=False)
    made: list[str] = []
    async with database.reading(None) as session:
        connection = await session.connection()
        event.listen(connection.sync_connection, "before_cursor_execute", lambda *a: made.append(a[2]))
        looks = ServiceLookRepository(session)
        first = await looks.page(2)
        assert len(made) == 1
        second = await looks.page(2, after_user=first[-1]["id"])
    assert [(row["email"], row["state"], row["by"]) for row in (*first, *second)] == [
        ("asha@example.org", "running", "a test"),
        ("bala@example.org", "stopped", "ravi"),
        ("chitra@example.org", "running", "a test"),
    ]
