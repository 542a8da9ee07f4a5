"""Profit and loss a day, what an account was worth when, and the record of how both were computed."""

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Moment, Note, Rupees, Ticker, Word, user_scoped


@user_scoped
class PnlDailyRow(Base):
    """One account's profit and loss of one session. realized_pnl is before fees."""

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
    """What an account was worth on a day: cash and positions at the last close."""

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
