"""Takes exactly the rows of one batch back, and tells what live trading has built on them."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.import_values import Target
from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))

# Each row says in words what was built. A position that trades, an order that moved, money that was spent.
_BUILT = text(
    """
    SELECT 'position ' || p.id || ' in ' || p.symbol || ': order ' || o.id || ' belongs to it' AS what
    FROM positions p JOIN orders o ON o.position_id = p.id AND o.user_id = p.user_id
    WHERE p.import_batch_id = :batch_id AND p.user_id = :user_id AND o.import_batch_id IS DISTINCT FROM :batch_id
    UNION ALL
    SELECT 'position ' || p.id || ' in ' || p.symbol || ': it holds ' || p.quantity || ' of ' || f.held
    FROM positions p CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE o.side WHEN 'buy' THEN o.filled_quantity ELSE -o.filled_quantity END), 0) AS held
        FROM orders o WHERE o.import_batch_id = :batch_id AND o.user_id = :user_id AND o.position_id = p.id) f
    WHERE p.import_batch_id = :batch_id AND p.user_id = :user_id AND p.closed_at IS NULL AND f.held <> p.quantity
    UNION ALL
    SELECT 'position ' || p.id || ' in ' || p.symbol || ': it was sold'
    FROM positions p LEFT JOIN orders o ON o.id = p.sell_order_id AND o.user_id = p.user_id
    WHERE p.import_batch_id = :batch_id AND p.user_id = :user_id AND p.closed_at IS NOT NULL
      AND o.import_batch_id IS DISTINCT FROM :batch_id
    UNION ALL
    SELECT DISTINCT 'order ' || o.id || ' of ' || o.symbol || ': it went on after the import'
    FROM orders o JOIN order_events v ON v.order_id = o.id
    WHERE o.import_batch_id = :batch_id AND o.user_id = :user_id
    UNION ALL
    SELECT 'order ' || o.id || ' of ' || o.symbol || ': order ' || r.id || ' tries it again'
    FROM orders o JOIN orders r ON r.retry_of = o.id AND r.user_id = o.user_id
    WHERE o.import_batch_id = :batch_id AND o.user_id = :user_id AND r.import_batch_id IS DISTINCT FROM :batch_id
    """
)
_SPENT = text(
    f"""
    SELECT a.cash, coalesce(m.amount, 0) AS moved, l.reserved
    FROM broker_accounts a
    CROSS JOIN LATERAL (SELECT sum(amount) AS amount FROM cash_entries
                        WHERE import_batch_id = :batch_id AND user_id = :user_id) m
    CROSS JOIN LATERAL (SELECT coalesce(sum(reserved), 0) AS reserved FROM orders
                        WHERE user_id = :user_id AND account_id = :account_id AND status IN ({_LIVE})
                          AND import_batch_id IS DISTINCT FROM :batch_id) l
    WHERE a.id = :account_id AND a.user_id = :user_id
    """
)
_MONEY = text(
    """
    WITH moved AS (SELECT coalesce(sum(amount), 0) AS amount FROM cash_entries
                   WHERE import_batch_id = :batch_id AND user_id = :user_id),
    venue AS (UPDATE paper_books SET cash = cash - (SELECT amount FROM moved)
              WHERE account_id = :account_id AND user_id = :user_id)
    UPDATE broker_accounts SET cash = cash - (SELECT amount FROM moved) WHERE id = :account_id AND user_id = :user_id
    """
)
# Fills before their orders, orders before their positions. A position's `sell_order_id` is looked at last of all.
_TABLES = ("cash_entries", "paper_orders", "reentries", "fills", "orders", "positions", "tracked_symbols")
_OF_BATCH = "import_batch_id = :batch_id AND user_id = :user_id AND account_id = :account_id"
# Fills and rungs have no index on their batch, which the import of each would pay for: their orders and positions have.
_WITH_OTHERS = {
    "fills": f"AND order_id IN (SELECT id FROM orders WHERE {_OF_BATCH})",
    "reentries": f"AND position_id IN (SELECT id FROM positions WHERE {_OF_BATCH})",
}
_DELETES = tuple(text(f"DELETE FROM {table} WHERE {_OF_BATCH} {_WITH_OTHERS.get(table, '')}") for table in _TABLES)


class UndoRepository:
    """What one batch made. Needs the system scope, and the account's lock."""

    def __init__(self, session: AsyncSession, target: Target, batch_id: int) -> None:
        self.session = session
        self._values = {"user_id": target.user_id, "account_id": target.account_id, "batch_id": batch_id}

    async def built_upon(self) -> list[str]:
        """Return what trading has made of the batch's rows, in words; none: it can be taken back."""
        values = {name: self._values[name] for name in ("user_id", "batch_id")}
        found = list((await self.session.execute(_BUILT, values)).scalars())
        money = (await self.session.execute(_SPENT, self._values)).one()
        left = money.cash - money.moved
        if money.moved > 0 and left < money.reserved:
            found.append(f"the account has {money.cash}, of which {money.moved} came with it: some of that was spent")
        return found

    async def take_back(self) -> int:
        """Delete every row of the batch and move its money back. Returns how many rows went."""
        await self.session.execute(_MONEY, self._values)
        gone = 0
        for statement in _DELETES:
            result = await self.session.execute(statement, self._values)
            gone += result.rowcount  # type: ignore[attr-defined]  # of a statement that changes rows
        return gone
