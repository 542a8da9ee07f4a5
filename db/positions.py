"""Fills as brokers report them, and the positions that follow from fills alone."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, Numeric, UniqueConstraint, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, ExactPrice, Id, Moment, Name, Rupees, Ticker, Word, user_scoped
from trading.portfolio import Fill, Position
from trading.values import Symbol


@user_scoped
class FillRow(Base):
    """A trade report of an order; unique by the broker's own id, so booking twice is nothing."""

    __tablename__ = "fills"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        UniqueConstraint("account_id", "broker_fill_id"),
        Index(None, "order_id", "filled_at"),
        Index(None, "user_id", "filled_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    order_id: Mapped[Big] = mapped_column(ForeignKey("orders.id"))
    broker_fill_id: Mapped[Name]
    symbol: Mapped[Ticker]
    side: Mapped[Word]
    quantity: Mapped[int]
    price: Mapped[ExactPrice]
    fill_value: Mapped[Rupees] = mapped_column(Computed("round(quantity * price, 2)", persisted=True))
    charges: Mapped[Rupees]
    filled_at: Mapped[Moment]
    created_at: Mapped[Created]


@user_scoped
class PositionRow(Base):
    """One holding of a symbol: open until its quantity is nought.

    cycle: how often the ladder of re-entry levels began anew. reset_ready: RSI rose above the first level since, so the
    next dip begins a new cycle. last_rsi, last_rsi_day: as the monitor last saw it.
    """

    __tablename__ = "positions"
    __table_args__ = (
        CheckConstraint("quantity >= 0", name="quantity"),
        CheckConstraint("(closed_at IS NULL) = (quantity > 0)", name="closed"),
        Index("uq_positions_open", "account_id", "symbol", unique=True, postgresql_where="closed_at IS NULL"),
        Index(None, "user_id", "closed_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    symbol: Mapped[Ticker]
    quantity: Mapped[int]
    entry_quantity: Mapped[int]
    avg_price: Mapped[Decimal] = mapped_column(Numeric(18, 8))
    realized_pnl: Mapped[Rupees]
    charges: Mapped[Rupees]
    opened_at: Mapped[Moment]
    closed_at: Mapped[Moment | None]
    exit_price: Mapped[ExactPrice | None]
    exit_reason: Mapped[Name | None] = mapped_column(index=True)
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


_OPEN = (
    select(PositionRow)
    .where(
        PositionRow.user_id == bindparam("user_id"),
        PositionRow.account_id == bindparam("account_id"),
        PositionRow.closed_at.is_(None),
    )
    .order_by(PositionRow.symbol)
)
_KNOWN = select(FillRow.broker_fill_id).where(
    FillRow.account_id == bindparam("account_id"),
    FillRow.user_id == bindparam("user_id"),
    FillRow.broker_fill_id.in_(bindparam("ids", expanding=True)),
)
_BOOK = insert(FillRow).on_conflict_do_nothing().returning(FillRow.id)


class PositionRepository:
    """Queries over positions of one account."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session, self.user_id, self.account_id = session, user_id, account_id

    async def open(self) -> list[PositionRow]:
        """Return the open positions, by symbol."""
        mine = {"user_id": self.user_id, "account_id": self.account_id}
        return list((await self.session.execute(_OPEN, mine)).scalars())

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
        self.session, self.user_id, self.account_id = session, user_id, account_id

    async def known(self, broker_fill_ids: Collection[str]) -> set[str]:
        """Return which of the broker's fill ids are booked already."""
        values = {"user_id": self.user_id, "account_id": self.account_id, "ids": list(broker_fill_ids)}
        return set((await self.session.execute(_KNOWN, values)).scalars())

    async def book(self, order_id: int, broker_fill_id: str, fill: Fill) -> bool:
        """Store a fill. Returns False when it was booked before."""
        values = {
            "user_id": self.user_id,
            "account_id": self.account_id,
            "order_id": order_id,
            "broker_fill_id": broker_fill_id,
            "symbol": fill.symbol,
            "side": fill.side,
            "quantity": fill.quantity,
            "price": fill.price,
            "charges": fill.charges,
            "filled_at": fill.at,
        }
        return (await self.session.execute(_BOOK, values)).scalar_one_or_none() is not None
