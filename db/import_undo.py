"""Takes exactly the rows of one batch back, and tells what live trading has built on them."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.import_sums import read_at_once
from db.import_values import Target
from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))

_MINE = "import_batch_id = :batch_id AND user_id = :user_id"
# Each row says in words what was built. A position that trades, an order that moved, money that was spent.
_BUILT = text(
    f"""
    SELECT 'position ' || p.id || ' in ' || p.symbol || ': order ' || o.id || ' belongs to it' AS what
    FROM positions p JOIN orders o ON o.position_id = p.id AND o.user_id = p.user_id
    WHERE p.import_batch_id = :batch_id AND p.user_id = :user_id AND o.import_batch_id IS DISTINCT FROM :batch_id
    UNION ALL
    SELECT 'position ' || p.id || ' in ' || p.symbol || ': it holds ' || p.quantity || ' of ' || coalesce(f.held, 0)
    FROM positions p LEFT JOIN (
        SELECT position_id, sum(CASE side WHEN 'buy' THEN filled_quantity ELSE -filled_quantity END) AS held
        FROM orders WHERE {_MINE} GROUP BY position_id) f ON f.position_id = p.id
    WHERE p.import_batch_id = :batch_id AND p.user_id = :user_id AND p.closed_at IS NULL
      AND coalesce(f.held, 0) <> p.quantity
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
_OF_BATCH = f"{_MINE} AND account_id = :account_id"
_WHOLE = [
    text(f"DELETE FROM {table} WHERE {_OF_BATCH}") for table in ("cash_entries", "paper_orders", "tracked_symbols")
]
# Counted beside it: for the least id alone Postgres would go through everybody's from the first on.
_SPANS = {
    table: text(f"SELECT count(*) AS rows, min(id) AS first, max(id) AS last FROM {table} WHERE {_OF_BATCH}")
    for table in ("orders", "positions")
}
# By ids, a piece at a time: what names an order goes before it, orders before positions. A position's `sell_order_id`
# is looked at last of all.
_PIECES = {
    table: [text(f"DELETE FROM {name} WHERE {_OF_BATCH} AND {key} BETWEEN :first AND :last") for name, key in deleted]
    for table, deleted in {
        "orders": (("reentries", "order_id"), ("fills", "order_id"), ("orders", "id")),
        "positions": (("positions", "id"),),
    }.items()
}
_PIECE = 50_000
Told = Callable[[int, int], None]
"""Called with how many orders and positions are gone, and of how many."""


class UndoRepository:
    """What one batch made. Needs the system scope, and the account's lock."""

    def __init__(self, session: AsyncSession, target: Target, batch_id: int) -> None:
        self.session = session
        self._values = {"user_id": target.user_id, "account_id": target.account_id, "batch_id": batch_id}

    async def built_upon(self) -> list[str]:
        """Return what trading has made of the batch's rows, in words; none: it can be taken back."""
        values = {name: self._values[name] for name in ("user_id", "batch_id")}
        async with read_at_once(self.session):
            found = list((await self.session.execute(_BUILT, values)).scalars())
        money = (await self.session.execute(_SPENT, self._values)).one()
        left = money.cash - money.moved
        if money.moved > 0 and left < money.reserved:
            found.append(f"the account has {money.cash}, of which {money.moved} came with it: some of that was spent")
        return found

    async def take_back(self, told: Told = lambda *_: None) -> int:
        """Delete every row of the batch and move its money back. Returns how many rows went."""
        await self.session.execute(_MONEY, self._values)
        gone = sum([await self._delete(statement) for statement in _WHOLE])
        spans = {table: (await self.session.execute(query, self._values)).one() for table, query in _SPANS.items()}
        done, total = 0, sum(span.rows for span in spans.values())
        told(done, total)
        for table, span in spans.items():
            for first in range(span.first, span.last + 1, _PIECE) if span.rows else ():
                piece = {"first": first, "last": first + _PIECE - 1}
                rows = [await self._delete(statement, **piece) for statement in _PIECES[table]]
                gone, done = gone + sum(rows), done + rows[-1]
                told(done, total)
        return gone

    async def _delete(self, statement: Any, **span: int) -> int:
        result = await self.session.execute(statement, {**self._values, **span})
        return int(result.rowcount)  # type: ignore[attr-defined]  # of a statement that changes rows
