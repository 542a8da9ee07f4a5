"""The gauges: nought when all is well, and each tells of one thing that is not."""

from sqlalchemy import text

from db.claims import LedgerRepository
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.gauges import Gauges, gauges
from tests.people import person, queued, scalar, worker
from worker.bells.keys import claims_key, ready_key
from worker.bells.ringing import Bells
from worker.messages import TASKS

QUIET = {"oldest_overdue": 0.0, "orphans": 0, "past_limit": 0, "of_ended": 0, "waiting": 0, "retrying": 0}


def told(found: Gauges) -> dict[str, float]:
    """Return what the rows' numbers are besides nought."""
    return {name: value for name in QUIET if (value := getattr(found.rows, name))}


async def change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


async def test_an_empty_queue_shows_nothing(database: Database, bells: Bells) -> None:
    found = await gauges(database, bells)
    assert told(found) == {}
    assert (found.rows.oldest_ready, found.rows.behind, found.leaks, found.unsettled) == ({}, {}, {}, 0)


async def test_the_oldest_ready_is_told_by_queue(database: Database, bells: Bells) -> None:
    await queued(database, "prices", subject="young")
    await queued(database, "prices", subject="old")
    await change(
        database, "UPDATE service_task_execution SET rung_at = now() - interval '1 minute' WHERE subject = 'old'"
    )
    found = await gauges(database, bells)
    assert found.rows.oldest_ready.keys() == {"default"}
    assert 60 <= found.rows.oldest_ready["default"] < 70


async def test_the_retry_that_is_longest_overdue_is_told(database: Database, bells: Bells) -> None:
    for seconds in (-40, -20, 600):
        await queued(database, "prices", subject=str(seconds), rung=False)
    await change(
        database,
        "UPDATE service_task_execution SET status = 'retrying', "
        "next_attempt_at = now() + subject::int * interval '1 s'",
    )
    found = await gauges(database, bells)
    assert 40 <= found.rows.oldest_overdue < 50
    assert found.rows.retrying == 3


async def test_what_runs_without_a_live_lease_or_for_too_long_is_told(database: Database, bells: Bells) -> None:
    limit = TASKS["prices"].limit_seconds
    for name in ("well", "long", "orphan", "of one that ended"):
        await worker(database, name)
        bell = await queued(database, "prices", subject=name)
        async with database.transaction(None) as session:
            await LedgerRepository(session).claim([bell], name)
    assert told(await gauges(database, bells)) == {}
    async with database.transaction(None) as session:
        await WorkerRepository(session).expire("orphan")
        await session.execute(text("UPDATE worker_processes SET ended_at = now() WHERE name = 'of one that ended'"))
        await session.execute(
            text("UPDATE service_task_execution SET executed_at = now() - :s * interval '1 s' WHERE worker = 'long'"),
            {"s": limit + 1},
        )
    found = await gauges(database, bells)
    assert told(found) == {"orphans": 1, "past_limit": 1, "of_ended": 1}
    assert found.unsettled == 2


async def test_what_is_behind_its_share_and_what_waits_is_counted(database: Database, bells: Bells) -> None:
    asha = await person(database)
    for number in range(3):
        await queued(database, "order_sync", asha, str(number), rung=False)
    await queued(database, "order_sync", asha, "waits", rung=False)
    await change(database, "UPDATE service_task_execution SET status = 'waiting' WHERE subject = 'waits'")
    found = await gauges(database, bells)
    assert found.rows.behind == {"default": 3}
    assert told(found) == {"waiting": 1}


async def test_leaks_are_told_by_queue(database: Database, bells: Bells) -> None:
    bell = await queued(database, "prices")
    await bells.ring([bell])
    await bells.redis.delete(ready_key("default"))
    await bells.redis.sadd(claims_key("w1", "default"), "9.1")
    found = await gauges(database, bells)
    assert found.leaks.keys() == {"default"}
    assert found.leaked == 2
    assert await scalar(database, "SELECT count(*) FROM healings") == 0, "looking heals nothing"
