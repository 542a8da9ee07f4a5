"""Re-entries: which levels of a position's ladder were bought, in which cycle, on which day."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    UniqueConstraint,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
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
    )

    id: Mapped[Id]
    user_id: Mapped[Big]
    account_id: Mapped[Big]
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
    import_batch_id: Mapped[Big | None]
    created_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class Rung:
    """A level that an order is to take. day: the session it is for."""

    position_id: int
    order_id: int
    symbol: str
    cycle: int
    level: int
    rsi: float
    day: date


@dataclass(frozen=True, slots=True)
class FilledRung:
    """What an order bought for its rung so far. price: the average. filled_at: market time of the last fill."""

    order_id: int
    quantity: int
    price: Decimal
    filled_at: datetime


_MINE = (ReentryRow.user_id == bindparam("user_id"), ReentryRow.account_id == bindparam("account_id"))
_OF_POSITIONS = (
    select(ReentryRow)
    .where(*_MINE, ReentryRow.position_id.in_(bindparam("position_ids", expanding=True)))
    .order_by(ReentryRow.id)
)
_TAKE = insert(ReentryRow)
_GIVE_BACK = text(
    """
    DELETE FROM reentries r USING orders o
    WHERE r.user_id = :user_id AND r.account_id = :account_id AND r.position_id = ANY(CAST(:position_ids AS bigint[]))
      AND o.id = r.order_id AND o.user_id = :user_id AND o.filled_quantity = 0
      AND o.status IN ('denied', 'not_placed', 'cancelled', 'rejected', 'failed', 'expired')
    """
)
_FILL = text(
    """
    UPDATE reentries r SET quantity = f.quantity, price = f.price, filled_at = f.filled_at
    FROM unnest(CAST(:order_ids AS bigint[]), CAST(:quantities AS int[]), CAST(:prices AS numeric[]),
                CAST(:filled_at AS timestamptz[])) AS f(order_id, quantity, price, filled_at)
    WHERE r.user_id = :user_id AND r.account_id = :account_id AND r.order_id = f.order_id
    """
)


class ReentryRepository:
    """Queries over re-entries of one account."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session = session
        self._mine = {"user_id": user_id, "account_id": account_id}

    async def of(self, position_ids: Collection[int]) -> list[ReentryRow]:
        """Return the rungs of some positions, in the order they were taken."""
        if not position_ids:
            return []
        values = {**self._mine, "position_ids": list(position_ids)}
        return list((await self.session.execute(_OF_POSITIONS, values)).scalars())

    async def take(self, rungs: Sequence[Rung]) -> None:
        """Store rungs in the transaction of their orders.

        Raises IntegrityError for a level taken before in its cycle, or a second one of a position and day.
        """
        if rungs:
            await self.session.execute(_TAKE, [self._mine | _values(rung) for rung in rungs])

    async def fill(self, rungs: Sequence[FilledRung]) -> None:
        """Store what was bought for rungs."""
        if rungs:
            columns = {
                "order_ids": [rung.order_id for rung in rungs],
                "quantities": [rung.quantity for rung in rungs],
                "prices": [rung.price for rung in rungs],
                "filled_at": [rung.filled_at for rung in rungs],
            }
            await self.session.execute(_FILL, {**self._mine, **columns})

    async def give_back(self, position_ids: Collection[int]) -> None:
        """Free the rungs whose order ended without a share: a level that was never bought may be bought yet."""
        if position_ids:
            await self.session.execute(_GIVE_BACK, {**self._mine, "position_ids": list(position_ids)})


def _values(rung: Rung) -> dict[str, Any]:
    return {
        "position_id": rung.position_id,
        "order_id": rung.order_id,
        "symbol": rung.symbol,
        "cycle": rung.cycle,
        "level": rung.level,
        "rsi": rung.rsi,
        "day": rung.day,
    }
