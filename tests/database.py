"""A migrated database on the test run's own servers, emptied for each test, with the default schedules and calendar."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import redis.asyncio
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncSession

from config.servers import ServerUrls
from db.engine import make_engine
from db.partitions import PartitionRepository
from db.schedules import ScheduleRepository
from db.seeds import DEFAULT_SCHEDULES, seed
from db.tables import metadata
from db.transaction import Database
from migrations.run import migrate

# The days that tests play on; partitions are made for them once.
FIRST_DAY, LAST_DAY = date(2023, 12, 1), date(2024, 3, 31)

# The same for every test, and slow to load.
_CALENDAR = ("market_calendars", "market_days", "market_hours", "market_sessions")
_EMPTIED = [table.name for table in reversed(metadata.sorted_tables) if table.name not in _CALENDAR]
# Rows of a test are few: deleting them is quicker than truncating every partition and index, as is done once a table
# has grown beyond this by the many rows of one test or the dead rows of many.
_FEW_BYTES = 256 * 1024
_GROWN = text(
    "SELECT DISTINCT coalesce(part.inhparent, rows.oid)::regclass::text FROM pg_class AS rows "
    "LEFT JOIN pg_inherits AS part ON part.inhrelid = rows.oid WHERE rows.relnamespace = 'public'::regnamespace "
    "AND rows.relkind = 'r' AND pg_relation_size(rows.oid) > :bytes"
)
# Postgres truncates them together with those that refer to them alone, which are most tables.
_REFERRED_TO = {key.column.table.name for table in metadata.tables.values() for key in table.foreign_keys}
# Where nothing was ever written nothing is to be deleted; ids begin at one again.
_DELETE = text(
    f"""
DO $$
DECLARE written text;
BEGIN
    FOR written IN
        SELECT emptied.name FROM pg_class AS rows LEFT JOIN pg_inherits AS part ON part.inhrelid = rows.oid
            JOIN unnest(ARRAY[{", ".join(f"'{name}'" for name in _EMPTIED)}])
            WITH ORDINALITY AS emptied (name, place) ON emptied.name::regclass = coalesce(part.inhparent, rows.oid)
        WHERE rows.relkind = 'r' AND pg_relation_size(rows.oid) > 0
        GROUP BY emptied.name, emptied.place ORDER BY emptied.place
    LOOP
        EXECUTE format('DELETE FROM %I', written);
    END LOOP;
    PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
""".replace(":", "\\:")
)
# Another after whatever was committed to the calendar: how many rows there are, and the transactions that wrote them.
_VERSION = text(
    " UNION ALL ".join(f"SELECT '{name}', count(*), sum(xmin::text::bigint) FROM {name}" for name in _CALENDAR)
)

_prepared: set[str] = set()
_versions: dict[URL, list[tuple[object, ...]]] = {}


def prepare(urls: ServerUrls) -> None:
    """Bring a database to the code's schema, once a test run."""
    asyncio.run(prepared(urls))


async def prepared(urls: ServerUrls) -> None:
    """Bring a database to the code's schema, once a test run."""
    if urls.database in _prepared:
        return
    engine = make_engine(urls.sqlalchemy, pool_size=1)
    database = Database(engine)
    await migrate(engine)
    async with database.transaction(None) as session:
        await seed(session)
        await PartitionRepository(session).make(FIRST_DAY, LAST_DAY)
        await PartitionRepository(session).make_ahead(35)
    await database.close()
    _prepared.add(urls.database)


async def empty(database: Database) -> None:
    """Leave the default schedules and the calendar in a database, as they are after a migration, and nothing else."""
    names = ", ".join(_EMPTIED)
    async with database.transaction(None) as session:
        # Whoever still reads or writes for the test before ends first.
        await session.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
        grown = set((await session.execute(_GROWN, {"bytes": _FEW_BYTES})).scalars()) & set(_EMPTIED)
        if grown & _REFERRED_TO:
            await session.execute(text(f"TRUNCATE {names}"))
        elif grown:
            await session.execute(text(f"TRUNCATE {', '.join(sorted(grown))}"))
        await session.execute(_DELETE)
        await ScheduleRepository(session).seed(DEFAULT_SCHEDULES)
        if await _version(session) != _versions.get(database.engine.url):
            await _restore_calendar(session)
            _versions[database.engine.url] = await _version(session)


async def _restore_calendar(session: AsyncSession) -> None:
    for name in _CALENDAR:
        await session.execute(text(f"DELETE FROM {name}"))
    await seed(session)


async def _version(session: AsyncSession) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await session.execute(_VERSION)]


@asynccontextmanager
async def emptied(urls: ServerUrls) -> AsyncIterator[Database]:
    """Yield an empty database with seeds, and an empty Redis beside it."""
    database = Database(make_engine(urls.sqlalchemy))
    await empty(database)
    bell = redis.asyncio.Redis.from_url(urls.redis)
    await bell.flushall()
    await bell.aclose()
    try:
        yield database
    finally:
        await database.close()
