"""One session, one commit: how every room reads and writes, as a user or as the system."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from db.connection import EnteringConnection

# Left to itself Postgres plans a statement anew each time its parameters are few: over partitions that takes longer
# than to run it. What looks rows up by keys, however many are asked for, has one plan for all. It may be made while a
# table is empty, and then to read it whole and join looks cheapest: so it goes from key to row whatever that looks.
_PLANNED_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
}


_ANYTHING = text("SELECT 1")


class NotEnteredError(RuntimeError):
    """A transaction that nobody entered: it saw no row of anybody."""

    def __init__(self) -> None:
        super().__init__("asyncpg began a transaction by other words than BEGIN: mend `db/connection.py`")


class Database:
    """Opens transactions on one engine. Scope is set per transaction, so a pooler between is harmless."""

    def __init__(self, engine: AsyncEngine, *, planned_once: bool = False) -> None:
        """planned_once: of who asks for rows by their keys, the same statements for days; see `_PLANNED_ONCE`."""
        self.engine, self._plans = engine, _PLANNED_ONCE if planned_once else {}

    @asynccontextmanager
    async def transaction(self, user_id: int | None) -> AsyncIterator[AsyncSession]:
        """Yield a session that commits once at the end, or rolls back on any error.

        user_id: the user whose rows are visible; None is the system, which sees all.
        """
        _know_every_table()
        async with self._entered({**_scope(user_id), **self._plans}) as session:
            yield session

    @asynccontextmanager
    async def reading(self, user_id: int | None) -> AsyncIterator[AsyncSession]:
        """Yield a session that can only read."""
        async with self._entered({**_scope(user_id), "transaction_read_only": "on", **self._plans}) as session:
            yield session

    async def ask(self) -> None:
        """Return once Postgres answers a question: a transaction without one would not even begin."""
        async with self.reading(None) as session:
            await session.execute(_ANYTHING)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def _entered(self, settings: Mapping[str, str]) -> AsyncIterator[AsyncSession]:
        """Yield a session whose transaction begins with its first statement, under settings that end with it."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            driver = await session.run_sync(_driver)
            driver.entry = _settings(settings)
            yield session
            if driver.entry and driver.is_in_transaction():
                raise NotEnteredError


def _driver(session: Session) -> EnteringConnection:
    driver = session.connection().connection.driver_connection
    if not isinstance(driver, EnteringConnection):
        raise TypeError("a database is opened on an engine of `make_engine`")
    return driver


def _scope(user_id: int | None) -> Mapping[str, str]:
    return {
        "muhurat.user_id": "" if user_id is None else f"{user_id:d}",
        "muhurat.scope": "system" if user_id is None else "",
    }


def _settings(values: Mapping[str, str]) -> str:
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in values.items())


def _know_every_table() -> None:
    """A foreign key names a table that its own file need not import: who writes rows knows all of them.

    Who only reads does not need them, and `muhurat status` has no second to import them in.
    """
    from db import tables  # noqa: F401 - the classes register themselves
