"""A migrated database on the test run's own servers, emptied for each test, with the default schedules and calendar."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import redis.asyncio
from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.partitions import PartitionRepository
from db.seeds import seed
from db.tables import metadata
from db.transaction import Database
from migrations.run import migrate

# The days that tests play on; partitions are made for them once.
FIRST_DAY, LAST_DAY = date(2023, 12, 1), date(2024, 3, 31)

_KEPT = {"market_calendars", "market_days", "market_sessions"}
_prepared: set[str] = set()


def prepare(urls: ServerUrls) -> None:
    """Bring a database to the code's schema, once a test run."""
    if urls.database not in _prepared:
        asyncio.run(_prepare(urls))
        _prepared.add(urls.database)


async def _prepare(urls: ServerUrls) -> None:
    engine = make_engine(urls.sqlalchemy, pool_size=1)
    database = Database(engine)
    await migrate(engine)
    async with database.transaction(None) as session:
        await seed(session)
        await PartitionRepository(session).make(FIRST_DAY, LAST_DAY)
        await PartitionRepository(session).make_ahead(35)
    await database.close()


@asynccontextmanager
async def emptied(urls: ServerUrls) -> AsyncIterator[Database]:
    """Yield an empty database with seeds, and an empty Redis beside it."""
    database = Database(make_engine(urls.sqlalchemy))
    names = ", ".join(sorted(set(metadata.tables) - _KEPT))
    async with database.transaction(None) as session:
        await session.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        await seed(session)
    bell = redis.asyncio.Redis.from_url(urls.redis)
    await bell.flushall()
    await bell.aclose()
    try:
        yield database
    finally:
        await database.close()
