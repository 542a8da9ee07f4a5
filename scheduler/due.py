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
from scheduler.pieces import Pieces
from scheduler.putting_off import REFUSALS, RefusedError, put_off
from scheduler.ringer import Ringer
from scheduler.slots import MISSED_RECORDED, UNUSABLE, Choice, choose, following, planned, usable
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
            bad: dict[int, tuple[Any, Exception]] = {}
            for row in rows:
                try:
                    calendar = self.calendars.of(row.exchange)
                    first = next_slot(usable(row), calendar, now, daily_bars, runs=row.runs)
                except UNUSABLE as error:
                    bad[row.id] = row, error
                else:
                    await schedules.plan(row.id, first)
            await put_off(FiringRepository(session, self.name), bad)

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
        try:
            return await self._fire_some(daily_bars, AT_ONCE)
        except RefusedError as refused:
            return await self._fire_each(daily_bars, len(refused.rows))

    async def _fire_each(self, daily_bars: bool, most: int) -> tuple[int, int]:
        """Fire schedules one by one, because the database refuses the rows of one of them: that one is put off."""
        done = wide = 0
        for _ in range(most):
            try:
                some = await self._fire_some(daily_bars, 1)
            except RefusedError as refused:
                async with self.database.transaction(None) as session:
                    firings = FiringRepository(session, self.name)
                    await put_off(firings, {row.id: (row, refused.cause) for row in refused.rows})
            else:
                done, wide = done + some[0], wide + some[1]
        return done, wide

    async def _fire_some(self, daily_bars: bool, most: int) -> tuple[int, int]:
        """Fire so many schedules at most. Raises RefusedError."""
        async with self.database.transaction(None) as session:
            firings = FiringRepository(session, self.name)
            await self.calendars.hold(session)
            choices, slots = await self._choose(firings, daily_bars, most)
            if not choices:
                return 0, 0
            try:
                chunks = await FanOutRepository(session, self.share).make(slots, FIRST) if slots else []
            except REFUSALS as error:
                raise RefusedError([row for row, _ in choices], error) from error
            cursors = {chunk.slot.schedule_id: chunk.cursor for chunk in chunks if not chunk.last}
            await firings.settle([_fired(row, one, cursors.get(row.id)) for row, one in choices])
        clock, _ = choices[0]
        await self.ringer.ring_chunks(chunks, clock.market_now, clock.speed)
        _tell(choices, chunks, cursors)
        return len(choices) - len(cursors), len(cursors)

    async def _choose(
        self, firings: FiringRepository, daily_bars: bool, most: int
    ) -> tuple[list[tuple[Any, Choice]], list[Slot]]:
        """Return what to do with rows that are due, and the slots to make. What cannot be fired is put off.

        However many of those there are, those behind them are looked at.
        """
        chosen: list[tuple[Any, Choice]] = []
        slots: list[Slot] = []
        while not chosen and (rows := await firings.due(most, IDLE_SECONDS)):
            bad: dict[int, tuple[Any, Exception]] = {}
            for row in rows:
                try:
                    calendar = self.calendars.of(row.exchange)
                    choice = choose(row, calendar, daily_bars)
                    made = [planned(row, choice.slot, calendar, choice.reason)] if choice.recorded else []
                except UNUSABLE as error:
                    bad[row.id] = row, error
                else:
                    chosen.append((row, choice))
                    slots += made
            await put_off(firings, bad)
        return chosen, slots

    async def _finish(self, daily_bars: bool) -> int:
        """End the fan-outs that have come to their end. Returns how many."""
        async with self.database.transaction(None) as session:
            firings = FiringRepository(session, self.name)
            await self.calendars.hold(session)
            ended: list[tuple[Any, Fired]] = []
            bad: dict[int, tuple[Any, Exception]] = {}
            for row in await firings.over():
                try:
                    ended.append((row, self._ended(row, daily_bars)))
                except UNUSABLE as error:
                    bad[row.id] = row, error
            await firings.settle([one for _, one in ended])
            await put_off(firings, bad)
        for row, _ in ended:
            log.info("slot_fired", task=row.task_name, slot=row.firing_slot.isoformat(), schedule_id=row.id)
        return len(ended)

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
