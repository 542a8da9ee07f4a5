"""Exchange calendars as rows: sessions, the hours of their phases, and what range of days they are known for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Select, case, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Created, Label, Line, Moment, Word
from db.channels import SETTLED_CHANNEL
from trading.calendar import Calendar, Session
from trading.calendar_file import NamedDay
from trading.phases import Hours, Phase

EXCHANGE = "NSE"
"""The exchange of schedules and orders that name none."""


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

    phase: 'amo' lasts over night, from opens to closes of the next session. segment: 'all' or the shares it is for.
    valid_to: None: until other hours are stored; the same as valid_from: that session's own hours. source: who says so.
    """

    __tablename__ = "market_hours"
    __table_args__ = (
        CheckConstraint("opens <> closes AND (opens > closes) = (phase = 'amo')", name="hours"),
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


_HOURS = ("phase", "segment", "opens", "closes", "valid_from", "valid_to", "source")


def _stored(exchange: str) -> Select[Any]:
    """Return the sessions of a calendar, oldest first; coverage stands in each row, the hours in the first."""
    hours = (
        select(func.json_agg(func.json_build_array(*(getattr(MarketHoursRow, name) for name in _HOURS)), type_=JSON))
        .where(MarketHoursRow.exchange == exchange)
        .scalar_subquery()
    )
    row = MarketSessionRow
    is_first = func.row_number().over(order_by=row.day) == 1
    return (
        select(
            MarketCalendarRow.first_day, MarketCalendarRow.last_day, MarketCalendarRow.loaded_at,
            row.day, row.opens_at, row.closes_at, row.kind, case((is_first, hours)).label("hours"),
        )
        .outerjoin(row, row.exchange == MarketCalendarRow.exchange)
        .where(MarketCalendarRow.exchange == exchange)
        .order_by(row.day)
    )  # fmt: skip


class CalendarRepository:
    """Queries over the calendars. exchange: whose, where a method asks for one."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def load(self, exchange: str = EXCHANGE) -> Calendar:
        """Return a calendar as a value. Raises LookupError when none of that exchange was loaded."""
        return (await self.stored(exchange)).calendar

    async def stored(self, exchange: str = EXCHANGE) -> StoredCalendar:
        """Return a calendar with the moment it was stored. Raises LookupError when none was loaded."""
        # One statement: an import between two would give the days of one calendar the coverage of another.
        rows = (await self.session.execute(_stored(exchange))).all()
        if not rows:
            raise LookupError(
                f"no calendar of {exchange} is loaded: run 'muhurat migrate', or 'muhurat calendar import'"
            )
        covered = rows[0]
        sessions = [Session(row.day, row.opens_at, row.closes_at, row.kind) for row in rows if row.day is not None]
        hours = [_hours_of(*values) for values in covered.hours or ()]
        calendar = Calendar(exchange, sessions, covered.first_day, covered.last_day, hours)
        return StoredCalendar(calendar, covered.loaded_at)

    async def exchanges(self) -> list[str]:
        """Return the exchanges that have a calendar, by name."""
        return list((await self.session.execute(select(MarketCalendarRow.exchange).order_by("exchange"))).scalars())

    async def hold(self, exchange: str = EXCHANGE, *, to_replace: bool = False) -> datetime | None:
        """Keep a calendar from being replaced until the transaction ends. Returns when it was stored.

        to_replace: by this transaction, so that nobody else holds it either.
        """
        held = select(MarketCalendarRow.loaded_at).where(MarketCalendarRow.exchange == exchange)
        return (await self.session.execute(held.with_for_update(read=not to_replace))).scalar_one_or_none()

    async def hold_all(self) -> dict[str, datetime]:
        """Keep every calendar from being replaced until the transaction ends. Returns when each was stored."""
        row = MarketCalendarRow
        held = select(row.exchange, row.loaded_at).order_by(row.exchange).with_for_update(read=True)
        return {one.exchange: one.loaded_at for one in await self.session.execute(held)}

    async def days(self, first: date, last: date, exchange: str = EXCHANGE) -> dict[date, NamedDay]:
        """Return the holidays and special sessions of a span, both ends included, by day."""
        row = MarketDayRow
        query = select(row).where(row.exchange == exchange, row.day.between(first, last)).order_by(row.day)
        found = (await self.session.execute(query)).scalars()
        return {one.day: NamedDay(one.day, one.kind, one.name, one.source) for one in found}

    async def replace(self, calendar: Calendar, source: str, days: Sequence[NamedDay] = ()) -> None:
        """Store a calendar in place of its exchange's, with the days that have names, and plan schedules by it.

        Schedulers are woken; they and workers take it with the next slot they fire and the next execution they claim.
        """
        was = await self.load(calendar.exchange) if calendar.exchange in await self.exchanges() else None
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
        await self._store_hours(calendar)
        from db.schedules import ScheduleRepository  # `muhurat status` reads the calendar and has no time for them

        await ScheduleRepository(self.session).replan(calendar, was)
        await self.session.execute(text(f"SELECT pg_notify('{SETTLED_CHANNEL}', '')"))

    async def planned(self, exchange: str = EXCHANGE) -> list[Any]:
        """Return the rows of the schedules that are fired by a calendar: those of its exchange that are on, by name."""
        from db.schedules import ScheduleRow  # as in `replace`

        row = ScheduleRow
        query = select(row).where(row.enabled, row.exchange == exchange).order_by(row.name)
        return list((await self.session.execute(query)).scalars())

    async def add_hours(self, exchange: str, hours: Sequence[Hours]) -> None:
        """Give the stored calendar of an exchange the hours of its phases; for one that was stored without."""
        stored = await self.stored(exchange)
        calendar = stored.calendar
        sessions = calendar.sessions_between(calendar.first, calendar.last)
        await self._store_hours(Calendar(exchange, sessions, calendar.first, calendar.last, hours))
        changed = update(MarketCalendarRow).where(MarketCalendarRow.exchange == exchange)
        await self.session.execute(changed.values(loaded_at=func.clock_timestamp()))

    async def _store_hours(self, calendar: Calendar) -> None:
        await self.session.execute(delete(MarketHoursRow).where(MarketHoursRow.exchange == calendar.exchange))
        if calendar.timetable.hours:
            rows = [{"exchange": calendar.exchange, **asdict(one)} for one in calendar.timetable.hours]
            await self.session.execute(insert(MarketHoursRow), rows)


def _hours_of(
    phase: str, segment: str, opens: str, closes: str, valid_from: str, valid_to: str | None, source: str
) -> Hours:
    clocks = time.fromisoformat(opens), time.fromisoformat(closes)
    until = date.fromisoformat(valid_to) if valid_to else None
    return Hours(Phase(phase), segment, *clocks, date.fromisoformat(valid_from), until, source)


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
