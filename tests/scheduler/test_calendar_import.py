"""A calendar that is imported takes effect in processes that run: schedules that had come to its end fire again."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from db.calendar import CalendarRepository, StoredCalendar
from db.claims import LedgerRepository
from db.fan_outs import Chunk
from db.transaction import Database
from scheduler.due import Due
from scheduler.ringer import Ringer
from tests.people import MORNING, person, queued, replay_from, scalar, set_clock, worker
from trading.calendar import Calendar
from worker.bells.ringing import Bells
from worker.resources import open_resources

DAY, NEXT, AFTER_NEXT = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
EVENING = datetime(2024, 1, 2, 18, tzinfo=UTC)
BEFORE_OPEN = datetime(2024, 1, 2, 3, 5, tzinfo=UTC)  # 08:35 IST
SYNCS = "SELECT count(*) FROM service_task_execution WHERE task_name = 'order_sync' AND scheduled_for = :at"


async def _import(database: Database, calendar: Calendar) -> None:
    async with database.transaction(None) as session:
        await CalendarRepository(session).replace(calendar, "a test")


async def _stored(database: Database) -> StoredCalendar:
    async with database.reading(None) as session:
        return await CalendarRepository(session).stored()


@pytest.fixture
async def whole(database: Database) -> AsyncIterator[Calendar]:
    """The calendar of every other test, put back at the end."""
    stored = await _stored(database)
    async with database.reading(None) as session:
        days = await CalendarRepository(session).days(stored.calendar.first, stored.calendar.last)
    yield stored.calendar
    async with database.transaction(None) as session:
        await CalendarRepository(session).replace(stored.calendar, "a test", list(days.values()))


def _without(whole: Calendar, *closed: date, last: date | None = None) -> Calendar:
    last = last or whole.last
    sessions = [one for one in whole.sessions_between(whole.first, last) if one.day not in closed]
    return Calendar(whole.exchange, sessions, whole.first, last, whole.timetable.hours)


async def _opened(database: Database, ringer: Ringer) -> Due:
    """Return a scheduler's part that took the calendar there is, and planned by it, on the morning of DAY."""
    await replay_from(database)
    await person(database)
    due = Due(database, ringer, "s1", share=8)
    await due.plan_new(True)
    return due


async def _fire_all(due: Due) -> None:
    while await due.fire(True):
        pass


async def test_a_schedule_that_came_to_the_calendars_end_fires_after_an_import(
    database: Database, bells: Bells, whole: Calendar
) -> None:
    await _import(database, _without(whole, last=DAY))
    due = await _opened(database, Ringer(bells))
    await set_clock(database, EVENING)
    await _fire_all(due)
    ended = "SELECT count(*) FROM schedules WHERE next_due_at = 'infinity'"
    assert await scalar(database, ended) == await scalar(
        database, "SELECT count(*) FROM schedules WHERE trigger NOT LIKE 'daily%'"
    )
    await _import(database, whole)
    assert await scalar(database, ended) == 0
    at = BEFORE_OPEN + timedelta(days=1)
    await set_clock(database, at)
    await _fire_all(due)
    assert await scalar(database, SYNCS, at=at) == 1


async def test_a_holiday_that_is_imported_moves_what_was_planned_for_it(
    database: Database, bells: Bells, whole: Calendar
) -> None:
    due = await _opened(database, Ringer(bells))
    await set_clock(database, EVENING)
    await _fire_all(due)
    await _import(database, _without(whole, NEXT))
    planned = await scalar(database, "SELECT min(next_due_at) FROM schedules WHERE task_name = 'order_sync'")
    assert planned == BEFORE_OPEN + timedelta(days=2)
    await set_clock(database, BEFORE_OPEN + timedelta(days=1))
    assert await due.fire(True) == 0


async def test_what_is_due_already_is_not_lost_to_an_import(database: Database, bells: Bells, whole: Calendar) -> None:
    due = await _opened(database, Ringer(bells))
    await set_clock(database, BEFORE_OPEN)
    await _import(database, _without(whole, NEXT))
    await _fire_all(due)
    assert await scalar(database, SYNCS, at=BEFORE_OPEN) == 1


class _ImportsWhileRinging(Ringer):
    """Somebody imports a calendar while a slot is fanned out."""

    def __init__(self, bells: Bells, database: Database, calendar: Calendar) -> None:
        super().__init__(bells)
        self.database, self.calendar = database, calendar

    async def ring_chunks(self, chunks: Iterable[Chunk], market_now: datetime, speed: float) -> int:
        await _import(self.database, self.calendar)
        return await super().ring_chunks(chunks, market_now, speed)


async def test_an_import_in_the_middle_of_a_fan_out_plans_the_slot_after_it(
    database: Database, bells: Bells, whole: Calendar
) -> None:
    await _import(database, _without(whole, last=DAY))
    due = await _opened(database, _ImportsWhileRinging(bells, database, whole))
    await set_clock(database, BEFORE_OPEN)
    await due.fire(True)
    planned = await scalar(database, "SELECT next_due_at FROM schedules WHERE name = 'order_sync before open'")
    assert planned == BEFORE_OPEN + timedelta(days=1)


async def test_a_trigger_nobody_can_read_keeps_its_due_time(database: Database, bells: Bells, whole: Calendar) -> None:
    await _opened(database, Ringer(bells))
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET trigger = 'nonsense' WHERE name = 'buy_orders'"))
    await _import(database, _without(whole, NEXT))
    at = await scalar(database, "SELECT next_due_at FROM schedules WHERE name = 'buy_orders'")
    assert at == datetime(2024, 1, 2, 10, 35, tzinfo=UTC)


async def test_a_worker_takes_the_new_calendar_with_its_next_claim_and_a_running_step_keeps_the_old(
    database: Database, bells: Bells, whole: Calendar
) -> None:
    await replay_from(database)
    asha, name = await person(database), await worker(database)
    current = await open_resources(database, "simulated:7:2")
    before = await current.at(None)
    await _import(database, _without(whole, last=NEXT))
    bell = await queued(database, "order_sync", asha)
    async with database.transaction(None) as session:
        (execution,), _ = await LedgerRepository(session).claim([bell], name)
    after = await current.at(execution.calendar_at)
    assert (before.calendar.last, after.calendar.last) == (whole.last, NEXT)
    assert not await after.prices.shows(AFTER_NEXT)
    assert after.history is before.history
    assert await current.at(MORNING) is after, "an older claim takes nothing back"


@pytest.fixture
async def other(database: Database, whole: Calendar) -> AsyncIterator[Calendar]:
    """A calendar of another exchange, which does not trade on the second day; forgotten at the end."""
    sessions = [one for one in whole.sessions_between(whole.first, whole.last) if one.day != NEXT]
    made = Calendar("OTHER", sessions, whole.first, whole.last, whole.timetable.hours)
    await _import(database, made)
    yield made
    async with database.transaction(None) as session:
        for table in ("market_hours", "market_days", "market_sessions", "market_calendars"):
            await session.execute(text(f"DELETE FROM {table} WHERE exchange = 'OTHER'"))


_SYNC = "order_sync before open"


async def _of_exchange(database: Database, exchange: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE schedules SET exchange = :exchange WHERE name = :name"), {"exchange": exchange, "name": _SYNC}
        )


async def test_each_schedule_keeps_the_sessions_of_its_exchange(
    database: Database, bells: Bells, other: Calendar
) -> None:
    await _of_exchange(database, other.exchange)
    due = await _opened(database, Ringer(bells))
    await set_clock(database, BEFORE_OPEN)
    await _fire_all(due)
    named = "SELECT (next_due_at AT TIME ZONE 'Asia/Kolkata')::date FROM schedules WHERE name = '{}'"
    assert await scalar(database, named.format(_SYNC)) == AFTER_NEXT
    assert await scalar(database, named.format("prices before open")) in (DAY, NEXT)


async def test_a_schedule_of_an_exchange_without_calendar_holds_up_no_other(database: Database, bells: Bells) -> None:
    due = await _opened(database, Ringer(bells))
    await _of_exchange(database, "NOWHERE")
    await set_clock(database, EVENING)
    await _fire_all(due)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE task_name = 'eod_cleanup'") == 1
    name = f"SELECT next_due_at < market_now() FROM schedules WHERE name = '{_SYNC}'"
    assert await scalar(database, name) is True, "it is due still, for when its calendar comes"
