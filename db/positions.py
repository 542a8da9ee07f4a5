"""Fills as brokers report them, and the positions that follow from fills alone."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, ExactPrice, Id, Moment, Name, Rupees, Ticker, Word, page_index, user_scoped
from trading.portfolio import Fill, Position
from trading.values import Money, Price, Symbol, money


@user_scoped
class FillRow(Base):
    """A trade report of an order; unique by the broker's own id, so booking twice is nothing.

    Its account and user are its order's: the order's key holds them, the invariants hold these against it.
    """

    __tablename__ = "fills"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        UniqueConstraint("account_id", "broker_fill_id"),
        Index(None, "order_id", "filled_at"),
        Index(None, "user_id", "filled_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big]
    account_id: Mapped[Big]
    order_id: Mapped[Big] = mapped_column(ForeignKey("orders.id"))
    broker_fill_id: Mapped[Name]
    symbol: Mapped[Ticker]
    side: Mapped[Word]
    quantity: Mapped[int]
    price: Mapped[ExactPrice]
    fill_value: Mapped[Rupees] = mapped_column(Computed("round(quantity * price, 2)", persisted=True))
    charges: Mapped[Rupees] = mapped_column(server_default="0")
    filled_at: Mapped[Moment]
    import_batch_id: Mapped[Big | None]
    created_at: Mapped[Created]


@user_scoped
class PositionRow(Base):
    """One holding of a symbol: open until its quantity is nought.

    cycle: how often the ladder of re-entry levels began anew. reset_ready: RSI rose above the first level since, so the
    next dip begins a new cycle. last_rsi, last_rsi_day: of the newest day that was looked at. seen_price: as the
    position monitor last saw it. unrealized_pnl: by that price, or by the close when a day's books were closed; nought
    when nothing is held.
    """

    __tablename__ = "positions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "user_id"], ["broker_accounts.id", "broker_accounts.user_id"], name="fk_positions_owner"
        ),
        CheckConstraint("quantity >= 0", name="quantity"),
        CheckConstraint("(closed_at IS NULL) = (quantity > 0)", name="closed"),
        Index("uq_positions_open", "account_id", "symbol", unique=True, postgresql_where="closed_at IS NULL"),
        Index(None, "user_id", "closed_at"),
        page_index("closed_at"),
        Index(None, "sell_order_id", postgresql_where="sell_order_id IS NOT NULL"),
        page_index("import_batch_id", "import_batch_id IS NOT NULL"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big]
    account_id: Mapped[Big]
    symbol: Mapped[Ticker]
    quantity: Mapped[int]
    entry_quantity: Mapped[int]
    avg_price: Mapped[Decimal] = mapped_column(Numeric(18, 8))
    realized_pnl: Mapped[Rupees]
    unrealized_pnl: Mapped[Rupees] = mapped_column(server_default="0")
    charges: Mapped[Rupees]
    opened_at: Mapped[Moment]
    closed_at: Mapped[Moment | None]
    exit_price: Mapped[ExactPrice | None]
    exit_reason: Mapped[Name | None]
    entry_rsi: Mapped[float | None]
    exit_rsi: Mapped[float | None]
    realized_pnl_pct: Mapped[float | None]
    sell_order_id: Mapped[Big | None] = mapped_column(
        ForeignKey("orders.id", use_alter=True, deferrable=True, initially="DEFERRED")
    )
    initial_entry_price: Mapped[ExactPrice | None]
    last_reentry_price: Mapped[ExactPrice | None]
    reentry_count: Mapped[int] = mapped_column(server_default="0")
    cycle: Mapped[int] = mapped_column(server_default="0")
    reset_ready: Mapped[bool] = mapped_column(server_default="false")
    last_rsi: Mapped[float | None]
    last_rsi_day: Mapped[date | None]
    seen_price: Mapped[ExactPrice | None]
    import_batch_id: Mapped[Big | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]

    def value(self) -> Position:
        """Return the position as a value."""
        return Position(
            Symbol(self.symbol),
            self.quantity,
            self.entry_quantity,
            self.avg_price,
            self.realized_pnl,
            self.charges,
            self.opened_at,
            self.closed_at,
        )

    def take(self, position: Position) -> None:
        """Take over a value's amounts."""
        self.quantity, self.entry_quantity = position.quantity, position.entry_quantity
        self.avg_price, self.realized_pnl = position.average_price, position.realized_pnl
        self.charges, self.closed_at = position.charges, position.closed_at
        if position.closed_at is not None:
            self.unrealized_pnl = money(0)

    def mark(self, price: Price) -> None:
        """Keep what the shares would bring above their cost at a price."""
        self.unrealized_pnl = money(self.quantity * (price - self.avg_price))


_OPEN = (
    select(PositionRow)
    .where(
        PositionRow.user_id == bindparam("user_id"),
        PositionRow.account_id == bindparam("account_id"),
        PositionRow.closed_at.is_(None),
    )
    .order_by(PositionRow.symbol)
)
_DISAGREEMENTS = text(
    """
    SELECT symbol, coalesce(f.held, 0) AS by_fills, coalesce(p.quantity, 0) AS held
    FROM (SELECT symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS held FROM fills
          WHERE user_id = :user_id AND account_id = :account_id GROUP BY symbol) f
    FULL JOIN (SELECT symbol, quantity FROM positions
               WHERE user_id = :user_id AND account_id = :account_id AND closed_at IS NULL) p USING (symbol)
    WHERE coalesce(f.held, 0) <> coalesce(p.quantity, 0) ORDER BY symbol
    """
)
_DAY = text(
    """
    SELECT count(*) FILTER (WHERE opened_at BETWEEN :first AND :last) AS opened,
           count(*) FILTER (WHERE closed_at IS NOT NULL) AS closed,
           coalesce(sum(realized_pnl) FILTER (WHERE closed_at IS NOT NULL), 0) AS realized
    FROM positions WHERE user_id = :user_id AND account_id = :account_id
      AND (closed_at BETWEEN :first AND :last OR (closed_at IS NULL AND opened_at <= :last))
    """
)
_KNOWN = select(FillRow.broker_fill_id).where(
    FillRow.account_id == bindparam("account_id"),
    FillRow.user_id == bindparam("user_id"),
    FillRow.broker_fill_id.in_(bindparam("ids", expanding=True)),
)
_TRADED = (
    select(FillRow.symbol)
    .where(
        FillRow.user_id == bindparam("user_id"),
        FillRow.account_id == bindparam("account_id"),
        FillRow.filled_at.between(bindparam("first"), bindparam("last")),
    )
    .distinct()
)
_BOOK = insert(FillRow).on_conflict_do_nothing().returning(FillRow.broker_fill_id)


class PositionRepository:
    """Queries over positions of one account."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session, self.user_id, self.account_id = session, user_id, account_id

    async def open(self) -> list[PositionRow]:
        """Return the open positions, by symbol."""
        mine = {"user_id": self.user_id, "account_id": self.account_id}
        return list((await self.session.execute(_OPEN, mine)).scalars())

    async def disagreements(self) -> list[tuple[str, int, int]]:
        """Return the symbols whose fills do not add up to what is held: symbol, shares by fills, shares held."""
        mine = {"user_id": self.user_id, "account_id": self.account_id}
        return [(symbol, int(fills), held) for symbol, fills, held in await self.session.execute(_DISAGREEMENTS, mine)]

    async def day(self, first: datetime, last: datetime) -> tuple[int, int, Money]:
        """Return how many positions were opened and closed between two moments, and what the closed ones made."""
        values = {"user_id": self.user_id, "account_id": self.account_id, "first": first, "last": last}
        opened, closed, realized = (await self.session.execute(_DAY, values)).one()
        return opened, closed, realized

    def add(self, position: Position) -> PositionRow:
        """Store a new position."""
        row = PositionRow(
            user_id=self.user_id, account_id=self.account_id, symbol=position.symbol, opened_at=position.opened_at
        )
        row.take(position)
        self.session.add(row)
        return row


class FillRepository:
    """Queries over fills of one account."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session = session
        self._mine = {"user_id": user_id, "account_id": account_id}

    async def known(self, broker_fill_ids: Collection[str]) -> set[str]:
        """Return which of the broker's fill ids are booked already."""
        values = {**self._mine, "ids": list(broker_fill_ids)}
        return set((await self.session.execute(_KNOWN, values)).scalars())

    async def book(self, fills: Sequence[tuple[int, str, Fill]]) -> set[str]:
        """Store fills, each with its order's id and the broker's. Returns the broker's ids of those that are new."""
        rows = [{**self._mine, **_values(*one)} for one in fills]
        return set((await self.session.execute(_BOOK, rows)).scalars()) if rows else set()

    async def symbols_between(self, first: datetime, last: datetime) -> set[Symbol]:
        """Return the symbols that were bought or sold from one moment to another, both included."""
        values = {**self._mine, "first": first, "last": last}
        return {Symbol(symbol) for symbol in (await self.session.execute(_TRADED, values)).scalars()}


def _values(order_id: int, broker_fill_id: str, fill: Fill) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "broker_fill_id": broker_fill_id,
        "symbol": fill.symbol,
        "side": fill.side,
        "quantity": fill.quantity,
        "price": fill.price,
        "charges": fill.charges,
        "filled_at": fill.at,
    }
