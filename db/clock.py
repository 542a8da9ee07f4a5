"""Market now: the wall clock live, one row in a replay."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Moment


class MarketClockRow(Base):
    """The replay's clock; no row means market time is the wall clock. SQL reads it by the function `market_now()`."""

    __tablename__ = "market_clock"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[Moment]
    ends_at: Mapped[Moment]
    paused: Mapped[bool] = mapped_column(server_default="false")


@dataclass(frozen=True, slots=True)
class MarketTime:
    """Market now, and whether a replay moves it."""

    now: datetime
    replay: bool
    ends_at: datetime | None
    paused: bool


class ClockRepository:
    """Reads and sets the market clock."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def read(self) -> MarketTime:
        """Return market now."""
        query = text(
            "SELECT market_now() AS now, c.at, c.ends_at, c.paused FROM (SELECT 1) one LEFT JOIN market_clock c ON true"
        )
        row = (await self.session.execute(query)).one()
        return MarketTime(row.now, row.at is not None, row.ends_at, bool(row.paused))

    async def begin_replay(self, at: datetime, ends_at: datetime) -> None:
        """Make market time a row."""
        self.session.add(MarketClockRow(id=1, at=at, ends_at=ends_at))
        await self.session.flush()

    async def lock(self) -> MarketClockRow:
        """Return the replay's clock, locked."""
        return (await self.session.execute(select(MarketClockRow).with_for_update())).scalar_one()
