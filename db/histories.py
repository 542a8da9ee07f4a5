"""One user's own past, newest first and a page at a time: what the user's pages ask for. Operators: see lookups."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.error_logs import ErrorLogRepository

Row = Mapping[str, Any]
Place = tuple[datetime, int]
"""Where a page ended: the moment and the id of its last row."""

_EXECUTIONS = """
    SELECT id, task_name, scheduled_for, account_id, subject, status, attempt, executed_at, finished_at,
           duration_seconds, reason, details
    FROM service_task_execution WHERE user_id = :user_id AND scheduled_for >= :since {more}
    ORDER BY scheduled_for DESC, id DESC LIMIT :limit
"""
_ORDERS = """
    SELECT id, account_id, session_day, side, symbol, quantity, filled_quantity, order_type, price, avg_price, status,
           leg, reason, placed_at, filled_at, closed_at, created_at
    FROM orders WHERE user_id = :user_id {more} ORDER BY created_at DESC, id DESC LIMIT :limit
"""
_FILLS = """
    SELECT id, account_id, order_id, broker_fill_id, side, symbol, quantity, price, fill_value, charges, filled_at
    FROM fills WHERE user_id = :user_id {more} ORDER BY filled_at DESC, id DESC LIMIT :limit
"""
_ERRORS = """
    SELECT id, task_name, execution_id, error_type, error_message, resolved, occurred_at
    FROM error_logs WHERE user_id = :user_id {more} ORDER BY occurred_at DESC, id DESC LIMIT :limit
"""
_OWN_ERROR = text("SELECT id FROM error_logs WHERE id = :id AND user_id = :user_id")


class HistoryRepository:
    """Queries over what became of one user's work. Every statement names the user: another's id finds nothing."""

    def __init__(self, session: AsyncSession, user_id: int) -> None:
        self.session, self.user_id = session, user_id

    async def executions(
        self, since: datetime, limit: int, before: Place | None = None, task: str | None = None
    ) -> list[Row]:
        """Return executions from a slot on, of one task or of all."""
        more = "AND task_name = :task" if task is not None else ""
        named = {"task": task} if task is not None else {}
        return await self._page(_EXECUTIONS, "scheduled_for", limit, before, more, since=since, **named)

    async def orders(self, limit: int, before: Place | None = None) -> list[Row]:
        """Return orders, by when they were made."""
        return await self._page(_ORDERS, "created_at", limit, before)

    async def fills(self, limit: int, before: Place | None = None) -> list[Row]:
        """Return fills."""
        return await self._page(_FILLS, "filled_at", limit, before)

    async def errors(self, limit: int, before: Place | None = None, *, unresolved: bool = False) -> list[Row]:
        """Return errors without their tracebacks."""
        return await self._page(_ERRORS, "occurred_at", limit, before, "AND NOT resolved" if unresolved else "")

    async def error(self, error_id: int) -> Row | None:
        """Return one of the user's errors with what surrounded it, None if it is not the user's."""
        own = (await self.session.execute(_OWN_ERROR, {"id": error_id, "user_id": self.user_id})).scalar_one_or_none()
        return await ErrorLogRepository(self.session).show(error_id) if own is not None else None

    async def _page(
        self, query: str, moment: str, limit: int, before: Place | None, more: str = "", **values: object
    ) -> list[Row]:
        values |= {"user_id": self.user_id, "limit": limit}
        if before is not None:
            more += f" AND ({moment}, id) < (:before_at, :before_id)"
            values |= {"before_at": before[0], "before_id": before[1]}
        rows = await self.session.execute(text(query.format(more=more)), values)
        return [dict(row) for row in rows.mappings()]
