"""What an export of one account reads, a page at a time: positions with their deals, orders with their fills."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from trading.orders import LIVE, OrderState

PAGE = 1000
# Before anything that can be in a record.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
# How long before a position opened the order of its first fill was placed, at most, as a rule.
_PLACED_BEFORE = timedelta(days=15)

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
_SENT = sorted(set(OrderState) - {OrderState.PLANNED, OrderState.DENIED, OrderState.NOT_PLACED})
_SENT_LIST = ", ".join(f"'{state}'" for state in _SENT)
_MINE = "user_id = :user_id AND account_id = :account_id"

_ACCOUNTS = text(
    """
    SELECT a.id, a.name, a.cash, a.created_at,
           ARRAY(SELECT DISTINCT b.kind FROM import_batches b
                 WHERE b.user_id = :user_id AND b.account_id = a.id AND b.state = 'done' AND NOT b.dry_run) AS kinds,
           EXISTS (SELECT FROM orders o WHERE o.user_id = :user_id AND o.account_id = a.id) AS has_orders
    FROM broker_accounts a WHERE a.user_id = :user_id ORDER BY a.id
    """
)
_COUNTS = text(
    f"""
    SELECT (SELECT count(*) FROM positions WHERE {_MINE}) AS positions,
           (SELECT count(*) FROM orders WHERE {_MINE}) AS orders
    """
)
_POSITION = """
    SELECT p.id, p.symbol, p.quantity, p.entry_quantity, p.avg_price, p.realized_pnl, p.realized_pnl_pct, p.opened_at,
           p.closed_at, p.exit_price, p.exit_reason, p.entry_rsi, p.exit_rsi, p.reentry_count, p.cycle, p.reset_ready,
           p.seen_price, b.kind, s.import_batch_id IS NOT NULL AS ended_by_import
    FROM positions p LEFT JOIN import_batches b ON b.id = p.import_batch_id AND b.user_id = p.user_id
    LEFT JOIN orders s ON s.id = p.sell_order_id AND s.user_id = p.user_id
    WHERE p.user_id = :user_id AND p.account_id = :account_id
"""
_CLOSED = text(f"{_POSITION} AND (p.closed_at, p.id) > (:at, :id) ORDER BY p.closed_at, p.id LIMIT :limit")
_OPEN = text(f"{_POSITION} AND p.closed_at IS NULL AND p.symbol > :symbol ORDER BY p.symbol LIMIT :limit")

_LEGACY_ID = "CASE WHEN o.import_batch_id IS NULL THEN coalesce(o.order_id, o.broker_order_id) ELSE o.order_id END"
# A fill that was imported is of the position that its order names, and so is every sale; another purchase is of the
# position that was open at its time. So orders are looked for by their share and their time; the OFFSET keeps that a
# look for each position, where a join would read all orders for each page.
_DEALS = f"""
    SELECT p.id AS position_id, o.id, o.side, o.entry_type, {_LEGACY_ID} AS legacy_id, o.intent_key, o.metadata,
           o.old_record, b.kind, r.cycle, r.level, r.rsi, f.quantity, f.price, f.first_at, f.last_at, f.fills
    FROM unnest(CAST(:ids AS bigint[]), CAST(:symbols AS text[]), CAST(:opened AS timestamptz[]),
                CAST(:closed AS timestamptz[]), CAST(:since AS timestamptz[]), CAST(:ended AS boolean[]))
         AS p(id, symbol, opened_at, closed_at, since, ended)
    JOIN LATERAL (SELECT * FROM orders
                  WHERE {_MINE} AND symbol = p.symbol AND status IN ({_SENT_LIST}) AND filled_quantity > 0 {{when}}
                  OFFSET 0) o ON true
    JOIN LATERAL (SELECT sum(quantity) AS quantity, sum(quantity * price) / sum(quantity) AS price, count(*) AS fills,
                         min(filled_at) AS first_at, max(filled_at) AS last_at
                  FROM fills t WHERE t.order_id = o.id
                    AND CASE WHEN t.import_batch_id IS NOT NULL THEN o.position_id = p.id
                             WHEN o.side = 'sell' AND o.position_id IS NOT NULL THEN o.position_id = p.id
                             ELSE NOT p.ended AND t.filled_at BETWEEN p.opened_at AND p.closed_at END
                 ) f ON f.quantity IS NOT NULL
    LEFT JOIN reentries r ON r.order_id = o.id
    LEFT JOIN import_batches b ON b.id = o.import_batch_id AND b.user_id = o.user_id
    ORDER BY p.id, f.first_at, o.entry_type = 'reentry', o.id
"""
_NEAR_DEALS = text(_DEALS.format(when="AND placed_at BETWEEN p.since AND p.closed_at"))
_ALL_DEALS = text(_DEALS.format(when=""))

# moved: something became of it here; an import leaves no events.
_ORDER = f"""
    SELECT o.id, o.created_at, o.symbol, o.side, o.order_type, o.variety, o.entry_type, o.quantity, o.price, o.status,
           o.intent_key, {_LEGACY_ID} AS legacy_id, o.reference_price, o.filled_quantity, o.avg_price, o.filled_at,
           o.reason, o.failure_kind, o.retry_count, o.first_failed_at, o.last_retry_attempt, o.last_status_check,
           coalesce(o.placed_at, o.first_failed_at, o.as_of) AS placed_at, o.closed_at, o.metadata,
           o.old_record, o.import_batch_id IS NOT NULL AS imported, b.kind, coalesce(pb.kind, b.kind) AS belongs,
           EXISTS (SELECT FROM order_events v WHERE v.order_id = o.id) AS moved{{more}}
    FROM orders o
    LEFT JOIN import_batches b ON b.id = o.import_batch_id AND b.user_id = o.user_id
    LEFT JOIN positions p ON p.id = o.position_id AND p.user_id = o.user_id
    LEFT JOIN import_batches pb ON pb.id = p.import_batch_id AND pb.user_id = p.user_id
    WHERE o.user_id = :user_id AND o.account_id = :account_id AND (o.created_at, o.id) > (:at, :id)
      AND o.status IN ({_SENT_LIST}){{which}}
    ORDER BY o.created_at, o.id LIMIT :limit
"""
_FILLS = f""",
           p.opened_at, p.avg_price AS held_at, p.sell_order_id = o.id AS closes, p.exit_reason,
           o.status IN ({_LIVE}) AS is_live,
           (SELECT jsonb_agg(jsonb_build_object('quantity', f.quantity, 'price', f.price, 'charges', f.charges,
                                                'at', f.filled_at) ORDER BY f.id)
            FROM fills f WHERE f.order_id = o.id) AS fills"""
_LOOSE = text(_ORDER.format(more="", which=f" AND (o.filled_quantity = 0 OR o.status IN ({_LIVE}))"))
_WITH_FILLS = text(_ORDER.format(more=_FILLS, which=""))

_TRACKED = text(
    f"""
    SELECT t.id, t.tracking_id, t.symbol, t.status, t.started_at, t.ended_at, t.system_quantity, t.tracked_quantity,
           t.pre_existing_quantity, t.initial_order_id, t.facts, coalesce(p.quantity, 0) AS held,
           o.orders > 0 AS traded, o.sold_at
    FROM tracked_symbols t
    LEFT JOIN positions p ON p.user_id = :user_id AND p.account_id = :account_id AND p.symbol = t.symbol
                         AND p.closed_at IS NULL
    CROSS JOIN LATERAL (SELECT count(*) AS orders, max(filled_at) FILTER (WHERE side = 'sell') AS sold_at FROM orders
                        WHERE {_MINE} AND symbol = t.symbol AND status IN ({_SENT_LIST}) AND filled_quantity > 0
                          AND import_batch_id IS NULL) o
    WHERE t.user_id = :user_id AND t.account_id = :account_id AND t.id > :id ORDER BY t.id LIMIT :limit
    """
)
_UNTRACKED = text(
    """
    SELECT p.id, p.symbol, p.quantity, p.opened_at, NULL AS kind FROM positions p
    WHERE p.user_id = :user_id AND p.account_id = :account_id AND p.closed_at IS NULL AND p.import_batch_id IS NULL
      AND p.symbol > :symbol
      AND NOT EXISTS (SELECT FROM tracked_symbols t WHERE t.user_id = :user_id AND t.account_id = :account_id
                      AND t.symbol = p.symbol AND t.status = 'active')
    ORDER BY p.symbol LIMIT :limit
    """
)
_EARNED = text(
    f"""
    SELECT coalesce(sum(realized_pnl), 0) AS realized, coalesce(sum(unrealized_pnl), 0) AS unrealized
    FROM positions WHERE {_MINE}
    """
)

Row = Mapping[str, Any]
Rows = Sequence[Row]


class ExportAccountsRepository:
    """Which accounts a user has, and what was imported into them."""

    def __init__(self, session: AsyncSession, user_id: int) -> None:
        self.session, self.user_id = session, user_id

    async def accounts(self) -> Rows:
        """Return them: id, name, cash, created_at, kinds of their batches, has_orders."""
        return await _rows(self.session, _ACCOUNTS, {"user_id": self.user_id})


class ExportRepository:
    """Queries over one account, a page at a time: each is given where the page before it ended."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session = session
        self._mine = {"user_id": user_id, "account_id": account_id}

    async def counts(self) -> Row:
        """Return how many positions and orders there are."""
        return dict((await self.session.execute(_COUNTS, self._mine)).mappings().one())

    async def earned(self) -> Row:
        """Return what its positions have realized, and would bring."""
        return dict((await self.session.execute(_EARNED, self._mine)).mappings().one())

    async def closed_positions(self, at: datetime = BEGINNING, id_: int = 0) -> Rows:
        """Return positions that are over, by when they closed."""
        return await self._page(_CLOSED, at=at, id=id_)

    async def open_positions(self, symbol: str = "") -> Rows:
        """Return positions that are held, by symbol."""
        return await self._page(_OPEN, symbol=symbol)

    async def deals(self, positions: Rows, *, near: bool = True) -> Rows:
        """Return the orders that bought and sold each position, oldest first. near: only those of around its time."""
        if not positions:
            return []
        values: Mapping[str, Any] = {
            "ids": [one["id"] for one in positions],
            "symbols": [one["symbol"] for one in positions],
            "opened": [one["opened_at"] for one in positions],
            # Reckoned here: under row-level security an index takes no condition that has to be worked out.
            "closed": [one["closed_at"] or _END for one in positions],
            "since": [one["opened_at"] - _PLACED_BEFORE for one in positions],
            "ended": [one["ended_by_import"] for one in positions],
        }
        return await _rows(self.session, _NEAR_DEALS if near else _ALL_DEALS, {**self._mine, **values})

    async def loose_orders(self, at: datetime = BEGINNING, id_: int = 0) -> Rows:
        """Return orders that bought and sold nothing, or may still."""
        return await self._page(_LOOSE, at=at, id=id_)

    async def orders(self, at: datetime = BEGINNING, id_: int = 0) -> Rows:
        """Return every order that a broker heard of, with its fills."""
        return await self._page(_WITH_FILLS, at=at, id=id_)

    async def tracked(self, id_: int = 0) -> Rows:
        """Return what was tracked, with what is held of it now, and whether it was traded here."""
        return await self._page(_TRACKED, id=id_)

    async def untracked(self, symbol: str = "") -> Rows:
        """Return what the system holds by its own purchase and nobody tracked."""
        return await self._page(_UNTRACKED, symbol=symbol)

    async def _page(self, statement: Any, **after: object) -> Rows:
        asked = {**self._mine, **after, "limit": PAGE}
        return await _rows(self.session, statement, asked)


async def _rows(session: AsyncSession, statement: Any, values: Mapping[str, Any]) -> Rows:
    return [dict(row) for row in (await session.execute(statement, values)).mappings()]
