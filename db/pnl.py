"""Profit and loss a day, what an account was worth when, and the record of how both were computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Moment, Note, Rupees, Ticker, Word, user_scoped
from trading.books import DayBooks
from trading.portfolio import Fill
from trading.values import Money, Side, Symbol


@user_scoped
class PnlDailyRow(Base):
    """One account's profit and loss of one session.

    realized_pnl: of the day's sales, before fees. fees: of the day's fills. unrealized_pnl: of what its close holds.
    """

    __tablename__ = "pnldaily"
    __table_args__ = (UniqueConstraint("account_id", "date"), Index(None, "user_id", "date"))

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    date: Mapped[date]
    realized_pnl: Mapped[Rupees] = mapped_column(server_default="0")
    unrealized_pnl: Mapped[Rupees] = mapped_column(server_default="0")
    fees: Mapped[Rupees] = mapped_column(server_default="0")
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@user_scoped
class PortfolioSnapshotRow(Base):
    """What an account was worth on a day: total_value is its cash and what its shares are worth at the last close.

    invested_value: what the shares held cost. realized_pnl: of everything so far, after all charges, so that
    total_value is deposits + realized_pnl + unrealized_pnl. closed_positions_count: of the day. Returns: 0.01 is 1 %;
    the total one is on what was deposited, the daily one on the snapshot before, without the day's deposits.
    """

    __tablename__ = "portfolio_snapshots"
    __table_args__ = (
        CheckConstraint("snapshot_type IN ('eod', 'intraday')", name="snapshot_type"),
        UniqueConstraint("account_id", "date", "snapshot_type"),
        Index(None, "user_id", "date"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    date: Mapped[date]
    snapshot_type: Mapped[Word] = mapped_column(server_default="eod")
    total_value: Mapped[Rupees]
    invested_value: Mapped[Rupees]
    available_cash: Mapped[Rupees]
    unrealized_pnl: Mapped[Rupees]
    realized_pnl: Mapped[Rupees]
    open_positions_count: Mapped[int]
    closed_positions_count: Mapped[int]
    total_return: Mapped[float | None]
    daily_return: Mapped[float | None]
    created_at: Mapped[Created]


@user_scoped
class PnlCalculationAuditRow(Base):
    """One computation of daily profit and loss: over which days, by whom, and what it wrote."""

    __tablename__ = "pnl_calculation_audit"
    __table_args__ = (
        CheckConstraint("calculation_type IN ('on_demand', 'scheduled', 'backfill')", name="calculation_type"),
        CheckConstraint("triggered_by IN ('user', 'system', 'scheduled')", name="triggered_by"),
        CheckConstraint("status IN ('success', 'failed', 'partial')", name="status"),
        Index(None, "user_id", "created_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    calculation_type: Mapped[Ticker]
    start_date: Mapped[date | None]
    end_date: Mapped[date | None]
    positions_processed: Mapped[int] = mapped_column(server_default="0")
    orders_processed: Mapped[int] = mapped_column(server_default="0")
    pnl_records_created: Mapped[int] = mapped_column(server_default="0")
    pnl_records_updated: Mapped[int] = mapped_column(server_default="0")
    duration_seconds: Mapped[float] = mapped_column(server_default="0")
    status: Mapped[Word]
    error_message: Mapped[Note | None]
    triggered_by: Mapped[Word]
    started_at: Mapped[Moment | None]
    created_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class DayTrades:
    """What the books of a day are made from.

    fills: as `trading.books` wants them. orders: that had fills that day. cash, deposits: at its end. deposited: on the
    day itself. closed: positions that day.
    """

    fills: Sequence[Fill]
    orders: int
    cash: Money
    deposits: Money
    deposited: Money
    closed: int


_FILLS = text(
    """
    SELECT f.symbol, f.side, f.quantity, f.price, f.charges, f.filled_at, f.order_id
    FROM (SELECT symbol, min(opened_at) AS since FROM positions
          WHERE user_id = :user_id AND account_id = :account_id AND opened_at < :end
            AND (closed_at IS NULL OR closed_at >= :first) GROUP BY symbol) p
    JOIN fills f ON f.symbol = p.symbol AND f.filled_at >= p.since
    WHERE f.user_id = :user_id AND f.account_id = :account_id AND f.filled_at < :end
      -- Imported trades of one share may overlap: those that are over are not part of what is held.
      AND (f.import_batch_id IS NULL OR EXISTS (
          SELECT FROM orders o JOIN positions q ON q.id = o.position_id
          WHERE o.id = f.order_id AND o.user_id = :user_id AND (q.closed_at IS NULL OR q.closed_at >= :first)))
    ORDER BY f.id
    """
)
_CASH = text(
    """
    SELECT coalesce(sum(amount), 0) AS cash, coalesce(sum(amount) FILTER (WHERE kind = 'deposit'), 0) AS deposits,
           coalesce(sum(amount) FILTER (WHERE kind = 'deposit' AND at >= :first), 0) AS deposited,
           (SELECT count(*) FROM positions WHERE user_id = :user_id AND account_id = :account_id
              AND closed_at >= :first AND closed_at < :end) AS closed
    FROM cash_entries WHERE user_id = :user_id AND account_id = :account_id AND at < :end
    """
)
# A row that an update wrote has a transaction in xmax.
_DAY = text(
    """
    INSERT INTO pnldaily (user_id, account_id, date, realized_pnl, unrealized_pnl, fees)
    VALUES (:user_id, :account_id, :day, :realized, :unrealized, :fees)
    ON CONFLICT (account_id, date) DO UPDATE SET realized_pnl = excluded.realized_pnl,
        unrealized_pnl = excluded.unrealized_pnl, fees = excluded.fees, updated_at = now()
    RETURNING xmax = 0 AS created
    """
)
_SNAPSHOT = text(
    """
    INSERT INTO portfolio_snapshots (user_id, account_id, date, snapshot_type, total_value, invested_value,
        available_cash, unrealized_pnl, realized_pnl, open_positions_count, closed_positions_count, total_return,
        daily_return)
    SELECT :user_id, :account_id, :day, 'eod', v.total, :cost, :cash, :unrealized, v.total - v.deposits - :unrealized,
           :held, :closed, (v.total - v.deposits) / nullif(v.deposits, 0),
           (v.total - v.deposited - before.total_value) / nullif(before.total_value, 0)
    FROM (SELECT CAST(:total AS numeric) AS total, CAST(:deposits AS numeric) AS deposits,
                 CAST(:deposited AS numeric) AS deposited) v
    LEFT JOIN LATERAL (
        SELECT total_value FROM portfolio_snapshots
        WHERE user_id = :user_id AND account_id = :account_id AND snapshot_type = 'eod' AND date < :day
        ORDER BY date DESC LIMIT 1) before ON true
    ON CONFLICT (account_id, date, snapshot_type) DO UPDATE SET total_value = excluded.total_value,
        invested_value = excluded.invested_value, available_cash = excluded.available_cash,
        unrealized_pnl = excluded.unrealized_pnl, realized_pnl = excluded.realized_pnl,
        open_positions_count = excluded.open_positions_count,
        closed_positions_count = excluded.closed_positions_count, total_return = excluded.total_return,
        daily_return = excluded.daily_return
    """
)
_AUDIT = text(
    """
    INSERT INTO pnl_calculation_audit (user_id, calculation_type, start_date, end_date, positions_processed,
        orders_processed, pnl_records_created, pnl_records_updated, duration_seconds, status, error_message,
        triggered_by, started_at)
    VALUES (:user_id, 'scheduled', :day, :day, :positions, :orders, :created, :updated, :seconds, :status, :error,
        'scheduled', now())
    """
)


class PnlRepository:
    """Queries over the daily books of one account."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session = session
        self._mine = {"user_id": user_id, "account_id": account_id}

    async def trades(self, first: datetime, end: datetime) -> DayTrades:
        """Return what the books of a day are made from, end excluded; what came later is left out."""
        span = {**self._mine, "first": first, "end": end}
        rows = (await self.session.execute(_FILLS, span)).all()
        cash = (await self.session.execute(_CASH, span)).one()
        return DayTrades(
            fills=[
                Fill(Symbol(row.symbol), Side(row.side), row.quantity, row.price, row.charges, row.filled_at)
                for row in rows
            ],
            orders=len({row.order_id for row in rows if row.filled_at >= first}),
            cash=cash.cash,
            deposits=cash.deposits,
            deposited=cash.deposited,
            closed=cash.closed,
        )

    async def store(self, day: date, trades: DayTrades, books: DayBooks) -> bool:
        """Store a day's profit and loss and its snapshot, in place of those there are. Returns whether it is new."""
        shared = {**self._mine, "day": day, "unrealized": books.unrealized}
        profit = {"realized": books.realized, "fees": books.charges}
        created: bool = (await self.session.execute(_DAY, shared | profit)).scalar_one()
        worth = {
            "cost": books.cost,
            "cash": trades.cash,
            "total": trades.cash + books.market_value,
            "deposits": trades.deposits,
            "deposited": trades.deposited,
            "held": len(books.held),
            "closed": trades.closed,
        }
        await self.session.execute(_SNAPSHOT, shared | worth)
        return created

    async def audit(self, day: date, trades: DayTrades, books: DayBooks, seconds: float, *, created: bool) -> None:
        """Record one computation: how much went into it, how long it took, and what could not be counted."""
        unsure = {"no close, counted at cost": books.without_close, "sold more than bought": books.inconsistent}
        error = "; ".join(f"{what}: {', '.join(symbols)}" for what, symbols in unsure.items() if symbols)
        await self.session.execute(
            _AUDIT,
            {
                "user_id": self._mine["user_id"],
                "day": day,
                "positions": len({fill.symbol for fill in trades.fills}),
                "orders": trades.orders,
                "created": int(created),
                "updated": int(not created),
                "seconds": seconds,
                "status": "partial" if error else "success",
                "error": error[:1024] or None,
            },
        )
