"""Market now: the wall clock live; one row in a replay, or in a rehearsal of live days at another pace."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Created, Moment


class MarketClockRow(Base):
    """A clock of its own; no row means market time is the wall clock. SQL reads it by the function `market_now()`.

    speed: null in a replay, whose clock the scheduler moves when nothing is left to do. Else a rehearsal: the clock
    showed `at` at the machine's `set_at` and runs so many times faster, whatever is left to do, until `ends_at`.
    """

    __tablename__ = "market_clock"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[Moment]
    ends_at: Mapped[Moment]
    paused: Mapped[bool] = mapped_column(server_default="false")
    speed: Mapped[float | None]
    set_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class MarketTime:
    """Market now, and whether a replay moves it."""

    now: datetime
    replay: bool
    ends_at: datetime | None
    paused: bool


_REHEARSE = text(
    "INSERT INTO market_clock (id, at, ends_at, speed) VALUES (1, :at, :ends_at, :speed) "
    "ON CONFLICT (id) DO UPDATE SET at = excluded.at, ends_at = excluded.ends_at, speed = excluded.speed, "
    "set_at = now()"
)


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

    async def rehearse(self, at: datetime, ends_at: datetime, speed: float) -> None:
        """Let market time run from a moment on by itself; schedules fire and prices are asked for as on live days."""
        await self.session.execute(_REHEARSE, {"at": at, "ends_at": ends_at, "speed": speed})

    async def lock(self) -> MarketClockRow:
        """Return the replay's clock, locked."""
        return (await self.session.execute(select(MarketClockRow).with_for_update())).scalar_one()
