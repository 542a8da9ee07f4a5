"""One session, one commit: how every room reads and writes, as a user or as the system."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

# One statement says who looks and whether he may write; it ends with the transaction.
_ENTER = text(
    "SELECT set_config('muhurat.user_id', :user_id, true), set_config('muhurat.scope', :scope, true), "
    "set_config('transaction_read_only', :read_only, true), set_config('plan_cache_mode', :plans, true), "
    "set_config('enable_seqscan', :whole, true), set_config('enable_hashjoin', :whole, true), "
    "set_config('enable_mergejoin', :whole, true), set_config('enable_material', :whole, true)"
)

# Left to itself Postgres plans a statement anew each time its parameters are few: over partitions that takes longer
# than to run it. What looks rows up by keys, however many are asked for, has one plan for all. It may be made while a
# table is empty, and then to read it whole and join looks cheapest: so it goes from key to row whatever that looks.
_PLANS = {
    False: {"plans": "auto", "whole": "on"},
    True: {"plans": "force_generic_plan", "whole": "off"},
}


class Database:
    """Opens transactions on one engine. Scope is set per transaction, so a pooler between is harmless."""

    def __init__(self, engine: AsyncEngine, *, planned_once: bool = False) -> None:
        """planned_once: of who asks for rows by their keys, the same statements for days; see `_PLANS`."""
        self.engine, self._plans = engine, _PLANS[planned_once]

    @asynccontextmanager
    async def transaction(self, user_id: int | None) -> AsyncIterator[AsyncSession]:
        """Yield a session that commits once at the end, or rolls back on any error.

        user_id: the user whose rows are visible; None is the system, which sees all.
        """
        _know_every_table()
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            await self._enter(session, user_id, "off")
            yield session

    @asynccontextmanager
    async def reading(self, user_id: int | None) -> AsyncIterator[AsyncSession]:
        """Yield a session that can only read."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            await self._enter(session, user_id, "on")
            yield session

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def _enter(self, session: AsyncSession, user_id: int | None, read_only: str) -> None:
        values = {"user_id": "" if user_id is None else str(user_id), "scope": "system" if user_id is None else ""}
        await session.execute(_ENTER, {**values, "read_only": read_only, **self._plans})


def _know_every_table() -> None:
    """A foreign key names a table that its own file need not import: who writes rows knows all of them.

    Who only reads does not need them, and `muhurat status` has no second to import them in.
    """
    from db import tables  # noqa: F401 - the classes register themselves
