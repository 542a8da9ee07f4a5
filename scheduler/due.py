"""Fires due schedules: many small ones in one transaction, wide ones piece by piece, shared by all schedulers.

Whatever a piece is made of is rung after its commit; what a crash between the two leaves unheard, the sweep rings.
"""

from collections.abc import Sequence
from typing import Any

import structlog

from db.fan_outs import Chunk, FanOutRepository, Slot
from db.firings import Fired, FiringRepository
from db.schedules import ScheduleRepository
from db.transaction import Database
from scheduler.calendars import Calendars
from scheduler.pieces import CLAIM_SECONDS, Pieces
from scheduler.ringer import Ringer
from scheduler.slots import MISSED_RECORDED, Choice, choose, following, planned
from trading.definitions import definition_of
from trading.errors import TradingError
from trading.firings import next_slot

__all__ = ["MISSED_RECORDED", "Due"]

log = structlog.get_logger(__name__)

# Schedules that one transaction fires: at a thousand a second nobody waits for long, and a small replay has no more.
AT_ONCE = 200
# Subscribers of each that it makes executions for. What has more is wide: its first are rung at once, the rest later.
FIRST = 250
# A frozen scheduler's transaction is ended after this; the rows it held are fired by another.
IDLE_SECONDS = 8.0


class Due:
    """Fires what is due. Any number may run side by side: a row has one locker, a piece one claimer.

    share: how many executions of one user are rung in one queue; the rest of a fan-out is made and waits its turn.
    """

    def __init__(self, database: Database, ringer: Ringer, name: str, share: int) -> None:
        self.database, self.ringer, self.name, self.share = database, ringer, name, share
        self.calendars = Calendars()
        self.pieces = Pieces(database, ringer, name, share, self.calendars)

    async def plan_new(self, daily_bars: bool) -> None:
        """Give schedules that were never planned their first due time after market now."""
        async with self.database.transaction(None) as session:
            await self.calendars.hold(session)
            schedules = ScheduleRepository(session)
            rows = await schedules.unplanned()
            if not rows:
                return
            now = await schedules.market_now()
            for row in rows:
                try:
                    calendar = self.calendars.of(row.exchange)
                    first = next_slot(definition_of(row), calendar, now, daily_bars, runs=row.runs)
                except TradingError:
                    log.exception("schedule_failed", task=row.task_name, schedule_id=row.id)
                    await FiringRepository(session, self.name).put_off([row.id], CLAIM_SECONDS)
                else:
                    await schedules.plan(row.id, first)

    async def fire(self, daily_bars: bool, *, is_wide: bool = True) -> int:
        """Fire due schedules, some hundred at most, and take part in wide fan-outs. Returns how much was done.

        is_wide: there may be such a fan-out that was begun before.
        """
        done, wide = await self._fire_small(daily_bars)
        if not wide and not is_wide:
            return done
        made = await self.pieces.work()
        return done + await self._finish(daily_bars) or made

    async def _fire_small(self, daily_bars: bool) -> tuple[int, int]:
        """Fire schedules under their rows' locks. Returns how many slots are complete, and how many are wide."""
        async with self.database.transaction(None) as session:
            firings = FiringRepository(session, self.name)
            await self.calendars.hold(session)
            rows = await firings.due(AT_ONCE, IDLE_SECONDS)
            if not rows:
                return 0, 0
            choices = await self._choose(firings, rows, daily_bars)
            slots = [self._planned(row, one) for row, one in choices if one.recorded]
            chunks = await FanOutRepository(session, self.share).make(slots, FIRST) if slots else []
            cursors = {chunk.slot.schedule_id: chunk.cursor for chunk in chunks if not chunk.last}
            await firings.settle([_fired(row, one, cursors.get(row.id)) for row, one in choices])
        await self.ringer.ring_chunks(chunks, rows[0].market_now, rows[0].speed)
        _tell(choices, chunks, cursors)
        return len(choices) - len(cursors), len(cursors)

    async def _choose(
        self, firings: FiringRepository, rows: Sequence[Any], daily_bars: bool
    ) -> list[tuple[Any, Choice]]:
        """Return what to do with rows. One that cannot be read is let alone for a while; the others go on."""
        chosen, bad = [], []
        for row in rows:
            try:
                chosen.append((row, choose(row, self.calendars.of(row.exchange), daily_bars)))
            except TradingError:
                log.exception("schedule_failed", task=row.task_name, schedule_id=row.id, slot=str(row.next_due_at))
                bad.append(row.id)
        if bad:
            await firings.put_off(bad, CLAIM_SECONDS)
        return chosen

    def _planned(self, row: Any, choice: Choice) -> Slot:
        return planned(row, choice.slot, self.calendars.of(row.exchange), choice.reason)

    async def _finish(self, daily_bars: bool) -> int:
        """End the fan-outs that have come to their end. Returns how many."""
        async with self.database.transaction(None) as session:
            firings = FiringRepository(session, self.name)
            await self.calendars.hold(session)
            over = await firings.over()
            ended = [self._ended(row, daily_bars) for row in over]
            await firings.settle(ended)
        for row in over:
            log.info("slot_fired", task=row.task_name, slot=row.firing_slot.isoformat(), schedule_id=row.id)
        return len(over)

    def _ended(self, row: Any, daily_bars: bool) -> Fired:
        after = following(row, self.calendars.of(row.exchange), daily_bars)
        return Fired(row.id, row.firing_slot, after, row.firing_reason is None)


def _fired(row: Any, choice: Choice, cursor: int | None) -> Fired:
    return Fired(row.id, choice.slot, choice.next, choice.reason is None, cursor, choice.reason)


def _tell(choices: Sequence[tuple[Any, Choice]], chunks: Sequence[Chunk], wide: dict[int, int]) -> None:
    made = {chunk.slot.schedule_id: chunk.made for chunk in chunks}
    for row, choice in choices:
        facts = {"task": row.task_name, "slot": choice.slot.isoformat(), "schedule_id": row.id}
        if choice.passed:
            log.info("slots_passed", **facts, count=choice.passed, first=row.next_due_at.isoformat())
        if choice.reason is not None:
            log.warning("slot_missed", **facts, reason=choice.reason)
        if row.id not in wide:
            log.info("slot_fired", **facts, made=made.get(row.id, 0))
