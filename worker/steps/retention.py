"""Deletes what has been kept long enough, a bite a transaction, and stops where its time is over."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import Execution, ServiceTaskRepository
from db.retention import KEPT_FOR, RetentionPolicy, RetentionRepository
from trading.calendar import exchange_day, ist
from worker.outcome import Outcome, done
from worker.resources import Resources

# Rows a transaction: short enough that nobody waits for it.
BITE = 5_000
# What was finished late on a day that was thinned before is looked for this far back.
LOOK_BACK = timedelta(days=7)

Bite = Callable[[RetentionRepository], Awaitable[int]]


class _TimeIsOver(Exception):  # noqa: N818 - what happened, not what went wrong
    """It is later than this work is useful; what is left is for tomorrow."""


async def retention(resources: Resources, execution: Execution) -> Outcome:
    """Delete what is older than its kind is kept. What was deleted stays so, whatever happens to the rest."""
    return await keep(resources, execution, KEPT_FOR)


async def keep(resources: Resources, execution: Execution, policy: RetentionPolicy, bite: int = BITE) -> Outcome:
    """Delete by a policy. bite: rows a transaction."""
    work = _Work(resources, execution, policy, bite)
    try:
        await work.run()
    except _TimeIsOver:
        return done(**work.gone, left_for_tomorrow=True)
    return done(**work.gone, left_for_tomorrow=False)


class _Work:
    """One night's work. gone: rows by kind, of log lines whole weeks."""

    def __init__(self, resources: Resources, execution: Execution, policy: RetentionPolicy, bite: int) -> None:
        self.resources, self.execution, self.policy, self.bite = resources, execution, policy, bite
        self.gone = dict.fromkeys(("log_weeks", "errors", "notifications", "healings", "processes", "executions"), 0)

    async def run(self) -> None:
        policy, bite = self.policy, self.bite
        await self._take("log_weeks", lambda rows: rows.drop_service_logs(policy.service_logs))
        await self._all("errors", lambda rows: rows.delete_resolved_errors(policy.resolved_errors, bite))
        await self._all("notifications", lambda rows: rows.delete_read_notifications(policy.read_notifications, bite))
        await self._all("healings", lambda rows: rows.delete_healings(policy.healings, bite))
        await self._take("processes", lambda rows: rows.delete_ended_processes(policy.ended_processes))
        await self._thin()

    async def _all(self, kind: str, take: Bite) -> None:
        while await self._take(kind, take) == self.bite:
            pass

    async def _take(self, kind: str, take: Bite) -> int:
        async with self.resources.database.transaction(None) as session:
            await self._begin(session)
            taken = await take(RetentionRepository(session))
        self.gone[kind] += taken
        return taken

    async def _thin(self) -> None:
        """Count the routine executions of each day that is old enough, and delete them."""
        async with self.resources.database.transaction(None) as session:
            today = exchange_day(await self._begin(session))
            day = await _first_day(RetentionRepository(session))
        while day is not None and day < today - timedelta(days=self.policy.routine_executions):
            await self._thin_day(day)
            day += timedelta(days=1)

    async def _thin_day(self, day: date) -> None:
        first, end = ist(day, time.min), ist(day + timedelta(days=1), time.min)
        days, bite = self.policy.routine_executions, self.bite
        while True:
            async with self.resources.database.transaction(None) as session:
                await self._begin(session)
                thinned = await RetentionRepository(session).thin(day, first, end, days, bite)
            self.gone["executions"] += thinned.executions
            if thinned.last is None or thinned.executions < bite:
                return
            first = thinned.last

    async def _begin(self, session: AsyncSession) -> datetime:
        now = await ServiceTaskRepository(session).fence(self.execution)
        if self.execution.useful_until is not None and now > self.execution.useful_until:
            raise _TimeIsOver
        return now


async def _first_day(rows: RetentionRepository) -> date | None:
    """Return the day to begin with, None when there are no executions."""
    oldest, thinned = await rows.oldest_slot(), await rows.thinned_until()
    if oldest is None:
        return None
    first = exchange_day(oldest)
    return first if thinned is None else max(first, thinned - LOOK_BACK)
