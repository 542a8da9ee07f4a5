"""The log of what was put right."""

from datetime import datetime, timedelta

from sqlalchemy import text

from db.healings import HealingRepository
from db.transaction import Database
from tests.people import scalar


async def test_what_was_put_right_is_told_newest_first_since_a_moment(database: Database) -> None:
    async with database.transaction(None) as session:
        await HealingRepository(session).record(
            {"late": (2, '{"first": [7]}'), "restored": (1, None), "drained": (0, None)}
        )
        await session.execute(text("UPDATE healings SET at = now() - interval '1 hour' WHERE kind = 'restored'"))
    now = await scalar(database, "SELECT now()")
    assert isinstance(now, datetime)
    async with database.reading(None) as session:
        healings = HealingRepository(session)
        lately = [(row.kind, row.count, row.facts) for row in await healings.since(now - timedelta(minutes=5))]
        all_of_it = [row.kind for row in await healings.since(now - timedelta(hours=2))]
        newest = [row.kind for row in await healings.since(now - timedelta(hours=2), limit=1)]
    assert lately == [("late", 2, {"first": [7]})]
    assert (all_of_it, newest) == (["late", "restored"], ["late"])
