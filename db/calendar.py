"""The exchange calendar as rows: sessions, and what range of days they are known for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time

from sqlalchemy import CheckConstraint, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Created, Label, Line, Moment, Word
from trading.calendar import Calendar, Session
from trading.calendar_file import NamedDay

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


class MarketDayRow(Base):
    """A holiday or a special session by its name, and who says so. Hours stand with the session."""

    __tablename__ = "market_days"
    __table_args__ = (CheckConstraint("kind IN ('holiday', 'special')", name="kind"),)

    exchange: Mapped[Word] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[Word]
    name: Mapped[Label]
    source: Mapped[Line]


class MarketHoursRow(Base):
    """The clock hours of a phase of regular sessions, exchange time, while they are valid.

    segment: 'all' or the shares it is for. valid_to: None: until other hours are stored. source: who says so.
    """

    __tablename__ = "market_hours"
    __table_args__ = (
        CheckConstraint("opens < closes", name="hours"),
        CheckConstraint("valid_to IS NULL OR valid_from <= valid_to", name="validity"),
    )

    exchange: Mapped[Word] = mapped_column(primary_key=True)
    segment: Mapped[Word] = mapped_column(primary_key=True)
    phase: Mapped[Word] = mapped_column(primary_key=True)
    valid_from: Mapped[date] = mapped_column(primary_key=True)
    valid_to: Mapped[date | None]
    opens: Mapped[time]
    closes: Mapped[time]
    source: Mapped[Line]


@dataclass(frozen=True, slots=True)
class StoredCalendar:
    """A calendar and when it was stored: another moment means another calendar."""

    calendar: Calendar
    loaded_at: datetime


_STORED = (
    select(
        MarketCalendarRow.first_day, MarketCalendarRow.last_day, MarketCalendarRow.loaded_at,
        MarketSessionRow.day, MarketSessionRow.opens_at, MarketSessionRow.closes_at, MarketSessionRow.kind,
    )
    .outerjoin(MarketSessionRow, MarketSessionRow.exchange == MarketCalendarRow.exchange)
    .where(MarketCalendarRow.exchange == EXCHANGE)
    .order_by(MarketSessionRow.day)
)  # fmt: skip
_HELD = select(MarketCalendarRow.loaded_at).where(MarketCalendarRow.exchange == EXCHANGE).with_for_update(read=True)


class CalendarRepository:
    """Queries over the calendar."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def load(self) -> Calendar:
        """Return the calendar as a value. Raises LookupError when none was loaded."""
        return (await self.stored()).calendar

    async def stored(self) -> StoredCalendar:
        """Return the calendar with the moment it was stored. Raises LookupError when none was loaded."""
        # One statement: an import between two would give the days of one calendar the coverage of another.
        rows = (await self.session.execute(_STORED)).all()
        if not rows:
            raise LookupError(f"no calendar of {EXCHANGE} is loaded: run 'muhurat migrate'")
        covered = rows[0]
        sessions = [Session(row.day, row.opens_at, row.closes_at, row.kind) for row in rows if row.day is not None]
        return StoredCalendar(Calendar(EXCHANGE, sessions, covered.first_day, covered.last_day), covered.loaded_at)

    async def hold(self) -> datetime | None:
        """Keep the calendar from being replaced until the transaction ends. Returns when it was stored."""
        return (await self.session.execute(_HELD)).scalar_one_or_none()

    async def days(self, first: date, last: date) -> dict[date, NamedDay]:
        """Return the holidays and special sessions of a span, both ends included, by day."""
        row = MarketDayRow
        query = select(row).where(row.exchange == EXCHANGE, row.day.between(first, last)).order_by(row.day)
        found = (await self.session.execute(query)).scalars()
        return {one.day: NamedDay(one.day, one.kind, one.name, one.source) for one in found}

    async def replace(self, calendar: Calendar, source: str, days: Sequence[NamedDay] = ()) -> None:
        """Store a calendar in place of the one there is, with the days that have names, and plan every schedule by it.

        Schedulers and workers take it with the next slot they fire and the next execution they claim.
        """
        # First, because whoever plans a schedule holds this row before the schedule's.
        loaded_at = func.clock_timestamp()  # of two imports that waited for each other the later has the later one
        values = {"first_day": calendar.first, "last_day": calendar.last, "source": source, "loaded_at": loaded_at}
        covered = insert(MarketCalendarRow).values(exchange=calendar.exchange, **values)
        await self.session.execute(covered.on_conflict_do_update(index_elements=["exchange"], set_=values))
        await self.session.execute(delete(MarketSessionRow).where(MarketSessionRow.exchange == calendar.exchange))
        await self.session.execute(insert(MarketSessionRow), _rows_of(calendar))
        await self.session.execute(delete(MarketDayRow).where(MarketDayRow.exchange == calendar.exchange))
        if days:
            named = [{"exchange": calendar.exchange, **asdict(one)} for one in days]
            await self.session.execute(insert(MarketDayRow), named)
        from db.schedules import ScheduleRepository  # `muhurat status` reads the calendar and has no time for them

        await ScheduleRepository(self.session).replan(calendar)


def _rows_of(calendar: Calendar) -> list[dict[str, object]]:
    return [
        {
            "exchange": calendar.exchange,
            "day": session.day,
            "opens_at": session.opens,
            "closes_at": session.closes,
            "kind": session.kind,
        }
        for session in calendar.sessions_between(calendar.first, calendar.last)
    ]
