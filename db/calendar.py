"""The exchange calendar as rows: sessions, and what range of days they are known for."""

from datetime import date

from sqlalchemy import CheckConstraint, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Created, Line, Moment, Word
from trading.calendar import Calendar, Session

EXCHANGE = "NSE"


class MarketCalendarRow(Base):
    """The days a calendar covers; outside them nothing that trades may run."""

    __tablename__ = "market_calendars"

    exchange: Mapped[Word] = mapped_column(primary_key=True)
    first_day: Mapped[date]
    last_day: Mapped[date]
    source: Mapped[Line]
    loaded_at: Mapped[Created]


class MarketSessionRow(Base):
    """One session of an exchange."""

    __tablename__ = "market_sessions"
    __table_args__ = (CheckConstraint("opens_at < closes_at", name="hours"),)

    exchange: Mapped[Word] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    opens_at: Mapped[Moment]
    closes_at: Mapped[Moment]
    kind: Mapped[Word]


class CalendarRepository:
    """Queries over the calendar."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def load(self) -> Calendar:
        """Return the calendar as a value. Raises LookupError when none was loaded."""
        covered = (
            await self.session.execute(select(MarketCalendarRow).where(MarketCalendarRow.exchange == EXCHANGE))
        ).scalar_one_or_none()
        if covered is None:
            raise LookupError(f"no calendar of {EXCHANGE} is loaded: run 'muhurat migrate'")
        rows = await self.session.execute(
            select(MarketSessionRow).where(MarketSessionRow.exchange == EXCHANGE).order_by(MarketSessionRow.day)
        )
        sessions = [Session(row.day, row.opens_at, row.closes_at, row.kind) for row in rows.scalars()]
        return Calendar(EXCHANGE, sessions, covered.first_day, covered.last_day)

    async def replace(self, calendar: Calendar, source: str) -> None:
        """Store a calendar in place of the one there is."""
        await self.session.execute(delete(MarketSessionRow).where(MarketSessionRow.exchange == calendar.exchange))
        values = {"first_day": calendar.first, "last_day": calendar.last, "source": source}
        covered = insert(MarketCalendarRow).values(exchange=calendar.exchange, **values)
        await self.session.execute(covered.on_conflict_do_update(index_elements=["exchange"], set_=values))
        await self.session.execute(
            insert(MarketSessionRow),
            [
                {
                    "exchange": calendar.exchange,
                    "day": session.day,
                    "opens_at": session.opens,
                    "closes_at": session.closes,
                    "kind": session.kind,
                }
                for session in calendar.sessions_between(calendar.first, calendar.last)
            ],
        )
