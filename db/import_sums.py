"""What a batch's rows add up to, to be held against what its source said."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Of orders and fills, which nothing changes once they are final; of positions as their own fills have them, so that a
# position that was sold since still counts as it was imported. What belongs to no position is a group of its own. What
# a position's own row says of what an import closed is rounded to paise each. The orders are read once for all of it.
_SUMS = text(
    """
    WITH mine AS MATERIALIZED (
        SELECT id, position_id FROM orders WHERE import_batch_id = :batch_id AND user_id = :user_id),
    deals AS (
        SELECT o.position_id, f.side = 'buy' AS bought, f.quantity, f.quantity * f.price AS value, f.charges
        FROM mine o JOIN fills f ON f.order_id = o.id AND f.import_batch_id = :batch_id AND f.user_id = :user_id),
    p AS (SELECT position_id IS NOT NULL AS is_one, count(*) AS fills, sum(charges) AS charges,
                 coalesce(sum(quantity) FILTER (WHERE bought), 0) AS bought,
                 coalesce(sum(quantity) FILTER (WHERE NOT bought), 0) AS sold,
                 coalesce(sum(value) FILTER (WHERE bought), 0) AS bought_value,
                 coalesce(sum(value) FILTER (WHERE NOT bought), 0) AS sold_value
          FROM deals GROUP BY position_id),
    closed AS (
        SELECT count(*) AS positions, coalesce(sum(p.realized_pnl + p.charges), 0) AS earned
        FROM positions p JOIN mine x ON x.id = p.sell_order_id
        WHERE p.import_batch_id = :batch_id AND p.user_id = :user_id)
    SELECT (SELECT count(*) FROM mine) AS orders,
           coalesce(sum(fills), 0) AS fills, coalesce(sum(bought), 0) AS bought, coalesce(sum(sold), 0) AS sold,
           coalesce(sum(bought_value), 0) AS bought_value, coalesce(sum(sold_value), 0) AS sold_value,
           coalesce(sum(charges), 0) AS charges,
           coalesce(sum(sold_value - bought_value) FILTER (WHERE is_one AND bought = sold), 0) AS realized,
           count(*) FILTER (WHERE is_one AND bought > sold) AS open_positions,
           coalesce(sum(bought - sold) FILTER (WHERE is_one), 0) AS open_shares,
           (SELECT count(*) FROM tracked_symbols WHERE import_batch_id = :batch_id AND user_id = :user_id) AS tracked,
           -- As it was when the batch ended, whatever was traded since.
           (SELECT sum(c.amount) FROM cash_entries c JOIN import_batches b ON b.id = :batch_id
            WHERE c.user_id = :user_id AND c.account_id = b.account_id AND c.created_at <= b.finished_at) AS cash,
           (SELECT positions FROM closed) AS closed_positions, (SELECT earned FROM closed) AS earned_by_positions
    FROM p
    """
)
_AT_ONCE = text("SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '64MB', true)")
_AS_BEFORE = text("SELECT set_config('enable_nestloop', NULL, true), set_config('work_mem', NULL, true)")
# Held against what was imported of the share in all: what was traded since is another matter.
_TRACKED = text(
    """
    SELECT t.symbol, t.tracked_quantity, coalesce(f.held, 0) AS held, t.pre_existing_quantity
    FROM tracked_symbols t
    LEFT JOIN LATERAL (
        SELECT sum(CASE o.side WHEN 'buy' THEN o.filled_quantity ELSE -o.filled_quantity END) AS held FROM orders o
        WHERE o.user_id = t.user_id AND o.account_id = t.account_id AND o.status = 'filled' AND o.symbol = t.symbol
          AND o.import_batch_id IS NOT NULL) f ON true
    WHERE t.import_batch_id = :batch_id AND t.user_id = :user_id AND t.status = 'active'
      AND t.tracked_quantity <> coalesce(f.held, 0)
    ORDER BY t.symbol
    """
)


# What rows are looked up and joined by; a table that is busy with the like is left out, and counts itself in time.
_COUNT = text(
    "ANALYZE (SKIP_LOCKED) orders (user_id, account_id, status, symbol, placed_at, created_at, position_id), "
    "fills (user_id, order_id, filled_at), positions (user_id, account_id, symbol, closed_at), reentries (position_id)"
)


async def count_rows(session: AsyncSession) -> None:
    """Have Postgres count what an import filled: until it does of itself, it takes the tables for as they were before.

    An export of what was just imported takes two to five times as long without it.
    """
    await session.execute(_COUNT)


@asynccontextmanager
async def read_at_once(session: AsyncSession) -> AsyncIterator[None]:
    """Have tables read once and joined in memory, within it.

    A table that was just filled was not analysed: the planner takes it for empty, and would look each of a hundred
    thousand fills up by its order, or through all of a user's orders for each position.
    """
    await session.execute(_AT_ONCE)
    yield
    await session.execute(_AS_BEFORE)


class ImportSumsRepository:
    """Sums over one batch. Needs the system scope."""

    def __init__(self, session: AsyncSession, user_id: int, batch_id: int) -> None:
        self.session = session
        self._values = {"user_id": user_id, "batch_id": batch_id}

    async def sums(self) -> dict[str, Any]:
        """Return what the batch's rows add up to, by the names of what its source said.

        Beside them `closed_positions` and `earned_by_positions`: how many the batch closed, and what their own rows say
        they earned before charges.
        """
        async with read_at_once(self.session):
            return dict((await self.session.execute(_SUMS, self._values)).mappings().one())

    async def tracked_otherwise(self) -> list[dict[str, Any]]:
        """Return the shares of which the system was said to own another number than its position holds."""
        return [dict(row) for row in (await self.session.execute(_TRACKED, self._values)).mappings()]
