"""What was put right is written down once, whenever Postgres takes it."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from db.engine import make_engine
from db.transaction import Database
from scheduler.healed import Healed
from tests.people import scalar

TOLD = "SELECT string_agg(kind || ' ' || count || coalesce(' ' || (facts ->> 'first'), ''), ', ' ORDER BY id) FROM healings"


async def test_counts_of_a_kind_are_added_up_and_written_once(database: Database) -> None:
    healed = Healed()
    healed.note("late", 2, [7, 8])
    healed.note("late", 1, [9])
    healed.note("restored", 0)
    for _ in range(2):
        await healed.write(database)
    assert await scalar(database, TOLD) == "late 3 [7, 8, 9]"
    healed.note("late", 1)
    await healed.write(database)
    assert await scalar(database, TOLD) == "late 3 [7, 8, 9], late 1"


async def test_of_many_the_first_are_named(database: Database) -> None:
    healed = Healed()
    healed.note("late", 500, list(range(500)))
    healed.note("late", 500, list(range(500, 1000)))
    await healed.write(database)
    assert await scalar(database, "SELECT count FROM healings") == 1000
    assert await scalar(database, "SELECT facts ->> 'first' FROM healings") == str(list(range(20)))


async def test_what_postgres_did_not_take_is_written_later(database: Database) -> None:
    healed = Healed()
    healed.note("late", 2, [7, 8])
    away = Database(make_engine("postgresql+asyncpg:///muhurat?host=/nowhere"))
    with pytest.raises((SQLAlchemyError, DBAPIError, OSError)):
        await healed.write(away)
    await away.close()
    healed.note("late", 1, [9])
    await healed.write(database)
    assert await scalar(database, TOLD) == "late 3 [7, 8, 9]"


async def test_nothing_is_written_of_nothing(database: Database) -> None:
    healed = Healed()
    await healed.write(database)
    async with database.reading(None) as session:
        assert (await session.execute(text("SELECT count(*) FROM healings"))).scalar_one() == 0
