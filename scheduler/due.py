"""Fires due schedules: claim, then piece by piece commit executions and ring them, then plan the next slot."""

from typing import Any

import structlog

from db.schedules import Chunk, ScheduleRepository, Slot
from db.transaction import Database
from scheduler.planning import plan
from trading.calendar import Calendar
from trading.triggers import next_due, parse_trigger
from worker.bells.ringing import Bells
from worker.messages import TASKS

log = structlog.get_logger(__name__)

# A fan-out whose scheduler dies is taken over after this long, by the row's cursor.
CLAIM_SECONDS = 10.0
CHUNK = 2000


class Due:
    """Fires what is due. Any number may run side by side: a schedule row has one claimer."""

    def __init__(self, database: Database, bells: Bells, name: str, calendar: Calendar) -> None:
        self.database, self.bells, self.name, self.calendar = database, bells, name, calendar

    async def plan_new(self, daily_bars: bool) -> None:
        """Give schedules that were never planned their first due time after market now."""
        async with self.database.transaction(None) as session:
            schedules = ScheduleRepository(session)
            rows = await schedules.unplanned()
            if not rows:
                return
            now = await schedules.market_now()
            for row in rows:
                row.next_due_at = next_due(parse_trigger(row.trigger), self.calendar, now, daily_bars)
                row.enabled = row.next_due_at is not None

    async def fire(self, daily_bars: bool) -> int:
        """Fire every due schedule. Returns how many slots were fired."""
        async with self.database.transaction(None) as session:
            claimed = await ScheduleRepository(session).claim_due(self.name, CLAIM_SECONDS)
        for row in claimed:
            await self._fire(row, daily_bars)
        return len(claimed)

    async def _fire(self, row: Any, daily_bars: bool) -> None:
        slot_at = row.firing_slot
        limits = plan(row.task_name, slot_at, self.calendar)
        queue, day = TASKS[row.task_name].queue, self.calendar.exchange_day(slot_at)
        slot = Slot(row.id, row.task_name, queue, slot_at, day, limits.useful_until, limits.needs)
        cursor, last, made = row.cursor, limits.useful_until < row.market_now, 0
        if last:
            log.warning("slot_missed", task=row.task_name, slot=slot_at.isoformat(), schedule_id=row.id)
        while not last:
            chunk = await self._commit_chunk(slot, row, cursor)
            await self.bells.ring(chunk.bells)
            cursor, last, made = chunk.cursor, chunk.last, made + len(chunk.bells)
            if not last:
                await self._move(row.id, cursor)
        after = next_due(parse_trigger(row.trigger), self.calendar, slot_at, daily_bars)
        async with self.database.transaction(None) as session:
            await ScheduleRepository(session).finish(row.id, self.name, slot_at, after)
        log.info("slot_fired", task=row.task_name, slot=slot_at.isoformat(), schedule_id=row.id, rung=made)

    async def _commit_chunk(self, slot: Slot, row: Any, cursor: int) -> Chunk:
        async with self.database.transaction(None) as session:
            return await ScheduleRepository(session).fan_out(slot, row.scope, row.condition, cursor, CHUNK)

    async def _move(self, schedule_id: int, cursor: int) -> None:
        async with self.database.transaction(None) as session:
            await ScheduleRepository(session).move_cursor(schedule_id, self.name, cursor, CLAIM_SECONDS)
