"""Halts: what stops, for whom, who said so, why and until when. Checked at the ring, at the claim and at the effect."""

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Line, Moment, Name, Ticker, user_scoped


@user_scoped
class HaltRow(Base):
    """One halt. What of user, task, strategy, account and symbol is null is not asked for: all null is everywhere.

    entries, exits, changes: which orders it stops; cancels pass. tasks: it is a pause, executions do not begin. until:
    market time, None until somebody resumes.
    """

    __tablename__ = "halts"
    __table_args__ = (
        CheckConstraint("entries OR exits OR changes OR tasks", name="stops_something"),
        Index(None, "id", postgresql_where="ended_at IS NULL"),
        Index(None, "user_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big | None] = mapped_column(ForeignKey("broker_accounts.id"))
    task_name: Mapped[Name | None]
    strategy: Mapped[Name | None]
    symbol: Mapped[Ticker | None]
    entries: Mapped[bool]
    exits: Mapped[bool]
    changes: Mapped[bool]
    tasks: Mapped[bool]
    reason: Mapped[Line]
    created_by: Mapped[Name]
    created_at: Mapped[Created]
    until: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    ended_by: Mapped[Name | None]
