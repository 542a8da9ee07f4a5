"""Calendars as rows: several exchanges beside each other, each read by one statement, none changed without a word."""

from datetime import date, time, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from config.servers import ServerUrls
from db.calendar import CalendarRepository
from db.seeds import seed
from db.transaction import Database
from scheduler.wakeups import Wakeups
from tests.people import scalar
from trading.calendar import Calendar, Session, ist
from trading.calendar_file import NamedDay
from trading.phases import ALL, Hours, Phase

FIRST, LAST = date(2026, 8, 3), date(2026, 8, 7)
HOURS = [
    Hours(Phase.PREOPEN, ALL, time(9), time(9, 15), FIRST, None, "a test"),
    Hours(Phase.OPEN, ALL, time(9, 15), time(15, 30), FIRST, None, "a test"),
    Hours(Phase.AMO, ALL, time(15, 45), time(8, 57), FIRST, None, "a test"),
]
TABLES = ("market_calendars", "market_sessions", "market_days", "market_hours")
WAIT_SECONDS = 5.0


def _bse() -> Calendar:
    days = [FIRST + timedelta(days=number) for number in range(5)]
    sessions = [Session(day, ist(day, time(9, 15)), ist(day, time(15, 30))) for day in days if day != date(2026, 8, 5)]
    return Calendar("BSE", sessions, FIRST, LAST, HOURS)


async def test_each_exchange_has_its_own_days_and_hours(database: Database) -> None:
    named = [NamedDay(date(2026, 8, 5), "holiday", "Made up", "a test")]
    async with database.transaction(None) as session:
        calendars = CalendarRepository(session)
        whole = await calendars.load()
        await calendars.replace(_bse(), "a test", named)
        bse, nse = await calendars.stored("BSE"), await calendars.stored()
        assert await calendars.exchanges() == ["BSE", "NSE"]
        assert (await calendars.days(FIRST, LAST, "BSE"), await calendars.days(FIRST, LAST)) == (
            {named[0].day: named[0]},
            {},
        )
        assert (await calendars.hold("BSE"), await calendars.hold(), await calendars.hold("MCX")) == (
            bse.loaded_at, nse.loaded_at, None,
        )  # fmt: skip
        await session.rollback()
    assert bse.calendar.timetable.hours == tuple(HOURS)
    assert bse.calendar.sessions_between(FIRST, LAST) == _bse().sessions_between(FIRST, LAST)
    assert (nse.calendar.first, nse.calendar.last, len(nse.calendar)) == (whole.first, whole.last, len(whole))
    assert nse.calendar.timetable.hours == whole.timetable.hours


async def test_a_calendar_is_read_by_one_statement(database: Database) -> None:
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    async with database.reading(None) as session:
        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", note)
        calendar = await CalendarRepository(session).load()
        event.remove(connection, "before_cursor_execute", note)
    assert len(said) == 1
    assert calendar.timetable.hours
    assert len(calendar) > 2000


async def test_an_exchange_without_a_calendar_is_said_by_name(database: Database) -> None:
    async with database.reading(None) as session:
        with pytest.raises(LookupError, match="no calendar of MCX is loaded"):
            await CalendarRepository(session).load("MCX")


async def test_a_calendar_of_another_exchange_plans_its_own_schedules_alone(database: Database) -> None:
    planned = "SELECT string_agg(name || ' ' || next_due_at, ',' ORDER BY id) FROM schedules WHERE name <> 'buy_orders'"
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET next_due_at = 'infinity'"))
        await session.execute(text("UPDATE schedules SET exchange = 'BSE' WHERE name = 'buy_orders'"))
        await session.execute(
            text("INSERT INTO market_clock (id, at, ends_at) VALUES (1, :at, :at)"), {"at": ist(FIRST, time(8))}
        )
        before = (await session.execute(text(planned))).scalar_one()
        await CalendarRepository(session).replace(_bse(), "a test")
        rows = [(row.name, row.next_due_at) for row in await CalendarRepository(session).planned("BSE")]
        after = (await session.execute(text(planned))).scalar_one()
        await session.rollback()
    assert rows == [("buy_orders", ist(FIRST, time(16, 5)))]
    assert after == before


async def test_who_waits_for_changes_is_woken_by_another_calendar(database: Database, urls: ServerUrls) -> None:
    wakeups = Wakeups(urls.database)
    await wakeups.wait(0.0, 0.0)
    async with database.transaction(None) as session:
        calendars = CalendarRepository(session)
        whole = await calendars.load()
        days = await calendars.days(whole.first, whole.last)
        await calendars.replace(whole, "a test", list(days.values()))
    assert await wakeups.wait(WAIT_SECONDS, 0.0)
    await wakeups.close()


async def test_a_calendar_that_was_stored_before_phases_had_hours_is_given_them(database: Database) -> None:
    loaded = "SELECT loaded_at FROM market_calendars"
    async with database.transaction(None) as session:
        calendars = CalendarRepository(session)
        whole, before = await calendars.load(), (await session.execute(text(loaded))).scalar_one()
        await session.execute(text("DELETE FROM market_hours"))
        await seed(session)
        found, after = await calendars.load(), (await session.execute(text(loaded))).scalar_one()
        await seed(session)
        again = (await session.execute(text(loaded))).scalar_one()
        await session.rollback()
    assert found.timetable.hours == whole.timetable.hours
    assert after > before, "processes that run take it"
    assert again == after, "what is there stays"


@pytest.mark.parametrize(
    ("phase", "opens", "closes"),
    [("open", "15:30", "09:15"), ("amo", "08:57", "15:45"), ("open", "09:15", "09:15"), ("amo", "09:15", "09:15")],
)
async def test_hours_that_end_before_they_begin_are_no_row(
    database: Database, phase: str, opens: str, closes: str
) -> None:
    row = "INSERT INTO market_hours VALUES ('NSE', 'x', :phase, '2026-01-01', NULL, CAST(:opens AS time), CAST(:closes AS time), 's')"
    values = {"phase": phase, "opens": time.fromisoformat(opens), "closes": time.fromisoformat(closes)}
    with pytest.raises(IntegrityError, match="ck_market_hours_hours"):
        async with database.transaction(None) as session:
            await session.execute(text(row), values)
    assert await scalar(database, "SELECT count(*) FROM market_hours WHERE segment = 'x'") == 0
