"""Fires due schedules: claim, then piece by piece commit executions and ring them, then plan the next slot."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import CalendarRepository, StoredCalendar
from db.schedules import Chunk, ScheduleRepository, Slot
from db.transaction import Database
from scheduler.planning import plan
from scheduler.ringer import Ringer
from trading.calendar import Calendar
from trading.errors import TradingError
from trading.triggers import Between, Trigger, WhileOpen, next_due, parse_trigger
from worker.messages import TASKS

log = structlog.get_logger(__name__)

# A fan-out whose scheduler dies is taken over after this long, by the row's cursor.
CLAIM_SECONDS = 10.0
CHUNK = 2000
# Of market time. A scheduler that comes back after months tells of the last week in rows, of the rest in its log.
MISSED_RECORDED = timedelta(days=7)


class Due:
    """Fires what is due. Any number may run side by side: a schedule row has one claimer.

    share: how many executions of one user are rung in one queue; the rest of a fan-out is made and waits its turn.
    """

    def __init__(self, database: Database, ringer: Ringer, name: str, calendar: StoredCalendar, share: int) -> None:
        self.database, self.ringer, self.name, self._stored, self.share = database, ringer, name, calendar, share

    @property
    def calendar(self) -> Calendar:
        """The calendar that slots are planned by."""
        return self._stored.calendar

    async def plan_new(self, daily_bars: bool) -> None:
        """Give schedules that were never planned their first due time after market now."""
        async with self.database.transaction(None) as session:
            await self._hold_calendar(session)
            schedules = ScheduleRepository(session)
            rows = await schedules.unplanned()
            if not rows:
                return
            now = await schedules.market_now()
            for row in rows:
                await schedules.plan(row.id, next_due(parse_trigger(row.trigger), self.calendar, now, daily_bars))

    async def fire(self, daily_bars: bool) -> int:
        """Fire every due schedule. Returns how many slots were fired."""
        async with self.database.transaction(None) as session:
            await self._hold_calendar(session)
            claimed = await ScheduleRepository(session).claim_due(self.name, CLAIM_SECONDS)
        fired = 0
        for row in claimed:
            try:
                await self._fire(row, daily_bars)
                fired += 1
            except TradingError:
                # The others go on; this one is tried again when its claim runs out.
                log.exception("schedule_failed", task=row.task_name, schedule_id=row.id, slot=str(row.firing_slot))
        return fired

    async def _fire(self, row: Any, daily_bars: bool) -> None:
        trigger = parse_trigger(row.trigger)
        slot_at = self._newest(trigger, row, daily_bars)
        slot = self._slot(row, slot_at)
        cursor, last, made = row.cursor, False, 0
        if slot.missed is not None:
            last = slot_at < row.market_now - MISSED_RECORDED
            log.warning("slot_missed", task=row.task_name, slot=slot_at.isoformat(), schedule_id=row.id)
        while not last:
            chunk = await self._commit_chunk(slot, row, cursor)
            await self.ringer.ring(chunk.bells)
            cursor, last, made = chunk.cursor, chunk.last, made + len(chunk.bells)
            if not last:
                await self._move(row.id, cursor)
        async with self.database.transaction(None) as session:
            await self._hold_calendar(session)
            after = next_due(trigger, self.calendar, slot_at, daily_bars)
            await ScheduleRepository(session).finish(row.id, self.name, row.firing_slot, after)
        log.info("slot_fired", task=row.task_name, slot=slot_at.isoformat(), schedule_id=row.id, rung=made)

    def _slot(self, row: Any, at: datetime) -> Slot:
        """Return a firing as planned; one past its use is made of ended rows, so that the record has no gap."""
        limits = plan(row.task_name, at, self.calendar)
        as_of = limits.as_of or at
        return Slot(
            row.id,
            row.task_name,
            TASKS[row.task_name].queue,
            at,
            self.calendar.exchange_day(as_of),
            as_of,
            limits.useful_until,
            limits.needs,
            f"missed: no scheduler ran until {row.market_now:%Y-%m-%d %H:%M} UTC"
            if limits.useful_until < row.market_now
            else None,
        )

    async def _hold_calendar(self, session: AsyncSession) -> None:
        """Take the calendar that is stored now, and keep it from being replaced until the transaction ends.

        Else an import could commit between the look at the calendar and the due time planned by it, which would stay.
        """
        calendars = CalendarRepository(session)
        if await calendars.hold() != self._stored.loaded_at:
            self._stored = await calendars.stored()
            log.info("calendar_taken", first=str(self.calendar.first), last=str(self.calendar.last))

    def _newest(self, trigger: Trigger, row: Any, daily_bars: bool) -> datetime:
        """Return the slot to fire: of a repeating trigger that fell behind, the newest one that is due."""
        slot: datetime = row.firing_slot
        while isinstance(trigger, WhileOpen | Between):
            later = next_due(trigger, self.calendar, slot, daily_bars)
            if later is None or later > row.market_now:
                break
            slot = later
        return slot

    async def _commit_chunk(self, slot: Slot, row: Any, cursor: int) -> Chunk:
        async with self.database.transaction(None) as session:
            schedules = ScheduleRepository(session)
            return await schedules.fan_out(slot, row.scope, row.condition, cursor, CHUNK, self.share)

    async def _move(self, schedule_id: int, cursor: int) -> None:
        async with self.database.transaction(None) as session:
            await ScheduleRepository(session).move_cursor(schedule_id, self.name, cursor, CLAIM_SECONDS)
