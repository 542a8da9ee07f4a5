"""Brings a database to where the code can use it: migrated, seeded, with partitions for the days ahead."""

from datetime import date

from sqlalchemy import text

from db.engine import check_database, check_role, make_engine
from db.seeds import seed
from db.transaction import Database
from migrations.run import head, migrate

_PARTITIONS = text("SELECT make_execution_partitions(:first, :last)")


async def make_ready(url: str, first: date | None = None, last: date | None = None) -> str:
    """Migrate and seed a database; what is there already stays. Returns the revision it is at.

    url: `postgresql+asyncpg://`. first, last: the days whose executions it must have room for; None: no more than there
    is. Raises DatabaseError.
    """
    database = Database(make_engine(url, pool_size=1, application="muhurat migrate", command_seconds=None))
    try:
        await check_role(database.engine)
        await migrate(database.engine)
        await check_database(database.engine, head())
        async with database.transaction(None) as session:
            await seed(session)
            if first is not None and last is not None:
                await session.execute(_PARTITIONS, {"first": first, "last": last})
    finally:
        await database.close()
    return head()
