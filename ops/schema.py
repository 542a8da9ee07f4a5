"""Brings a database to where the code can use it: migrated, seeded, with partitions for the days ahead."""

from datetime import date

from db.engine import check_database, check_role, make_engine
from db.partitions import PartitionRepository
from db.seeds import seed
from db.transaction import Database
from migrations.run import head, migrate

# A first day; the scheduler keeps making more.
DAYS_AHEAD = 35


async def make_ready(url: str, first: date | None = None, last: date | None = None) -> str:
    """Migrate and seed a database; what is there already stays. Returns the revision it is at.

    url: `postgresql+asyncpg://`. first, last: the days it must have room for, beside those ahead of today.
    Raises DatabaseError.
    """
    database = Database(make_engine(url, pool_size=1, application="muhurat migrate", command_seconds=None))
    try:
        await check_role(database.engine)
        await migrate(database.engine)
        await check_database(database.engine, head())
        async with database.transaction(None) as session:
            await seed(session)
            await PartitionRepository(session).make_ahead(DAYS_AHEAD)
            if first is not None and last is not None:
                await PartitionRepository(session).make(first, last)
    finally:
        await database.close()
    return head()
