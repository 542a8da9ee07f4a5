"""What a batch's rows add up to, to be held against what its source said."""

from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Of orders and fills, which nothing changes once they are final; of positions as their own fills have them, so that a
# position that was sold since still counts as it was imported.
_SUMS = text(
    """
    WITH o AS (SELECT id, position_id FROM orders WHERE import_batch_id = :batch_id AND user_id = :user_id),
    f AS (SELECT o.position_id, f.side, f.quantity, f.price, f.charges
          FROM o JOIN fills f ON f.order_id = o.id AND f.import_batch_id = :batch_id),
    p AS (SELECT position_id, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS held,
                 sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * quantity * price) AS earned
          FROM f WHERE position_id IS NOT NULL GROUP BY 1)
    SELECT (SELECT count(*) FROM o) AS orders, (SELECT count(*) FROM f) AS fills,
           coalesce(sum(quantity) FILTER (WHERE side = 'buy'), 0) AS bought,
           coalesce(sum(quantity) FILTER (WHERE side = 'sell'), 0) AS sold,
           coalesce(sum(quantity * price) FILTER (WHERE side = 'buy'), 0) AS bought_value,
           coalesce(sum(quantity * price) FILTER (WHERE side = 'sell'), 0) AS sold_value,
           coalesce(sum(charges), 0) AS charges,
           (SELECT coalesce(sum(earned), 0) FROM p WHERE held = 0) AS realized,
           (SELECT count(*) FROM p WHERE held > 0) AS open_positions,
           (SELECT coalesce(sum(held), 0) FROM p) AS open_shares,
           (SELECT count(*) FROM tracked_symbols WHERE import_batch_id = :batch_id AND user_id = :user_id) AS tracked,
           -- As it was when the batch ended, whatever was traded since.
           (SELECT sum(c.amount) FROM cash_entries c JOIN import_batches b ON b.id = :batch_id
            WHERE c.user_id = :user_id AND c.account_id = b.account_id AND c.created_at <= b.finished_at) AS cash
    FROM f
    """
)
# What a position's own row says of what an import closed, rounded to paise each.
_POSITIONS = text(
    """
    SELECT count(*) AS positions, coalesce(sum(p.realized_pnl + p.charges), 0) AS realized
    FROM positions p JOIN orders x ON x.id = p.sell_order_id AND x.import_batch_id = :batch_id
    WHERE p.import_batch_id = :batch_id AND p.user_id = :user_id
    """
)
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


class ImportSumsRepository:
    """Sums over one batch. Needs the system scope."""

    def __init__(self, session: AsyncSession, user_id: int, batch_id: int) -> None:
        self.session = session
        self._values = {"user_id": user_id, "batch_id": batch_id}

    async def sums(self) -> dict[str, Any]:
        """Return what the batch's rows add up to, by the names of what its source said."""
        return dict((await self.session.execute(_SUMS, self._values)).mappings().one())

    async def closed(self) -> tuple[int, Decimal]:
        """Return how many positions the batch closed, and what their rows say they earned before charges."""
        row = (await self.session.execute(_POSITIONS, self._values)).one()
        return row.positions, row.realized

    async def tracked_otherwise(self) -> list[dict[str, Any]]:
        """Return the shares of which the system was said to own another number than its position holds."""
        return [dict(row) for row in (await self.session.execute(_TRACKED, self._values)).mappings()]
