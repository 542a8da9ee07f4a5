"""Re-entries: which levels of a position's ladder were bought, in which cycle, on which day."""

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, ExactPrice, Id, Moment, Ticker, user_scoped


@user_scoped
class ReentryRow(Base):
    """One rung taken. Its uniqueness is the rule: a level once a cycle, one re-entry a position and day.

    day: the session it was decided for. price, quantity: as filled, null until then.
    """

    __tablename__ = "reentries"
    __table_args__ = (
        CheckConstraint("level IN (10, 20, 30)", name="level"),
        UniqueConstraint("position_id", "cycle", "level"),
        UniqueConstraint("position_id", "day"),
        UniqueConstraint("order_id"),
        Index(None, "user_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"), index=True)
    position_id: Mapped[Big] = mapped_column(ForeignKey("positions.id"))
    order_id: Mapped[Big] = mapped_column(ForeignKey("orders.id"))
    symbol: Mapped[Ticker]
    cycle: Mapped[int]
    level: Mapped[int]
    rsi: Mapped[float]
    day: Mapped[date]
    quantity: Mapped[int | None]
    price: Mapped[ExactPrice | None]
    filled_at: Mapped[Moment | None]
    created_at: Mapped[Created]
