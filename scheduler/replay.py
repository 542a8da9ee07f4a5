"""Moves the replay's clock: to the next moment something is due, once nothing due is left to do."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.clock import ClockRepository
from db.executions import Bell
from db.schedules import ScheduleRepository
from db.shares import ShareRepository
from db.sweeps import SweepRepository
from db.transaction import Database
from scheduler.ringer import Ringer

log = structlog.get_logger(__name__)

CHUNK = 1000


class Replay:
    """The clock is one locked row, so any number of schedulers may try to move it."""

    def __init__(self, database: Database, ringer: Ringer, share: int) -> None:
        self.database, self.ringer, self.share = database, ringer, share

    async def advance(self) -> bool:
        """Move market time to the next slot if all work due is done. Returns whether anything changed.

        What waits is looked at once more under the clock's lock: when nothing runs, nothing can settle after that look,
        so an execution that became ready is never left for a later slot.
        """
        async with self.database.transaction(None) as session:
            clock = await ClockRepository(session).lock()
            if clock.paused or clock.at >= clock.ends_at or await SweepRepository(session).busy():
                return False
            bells = await self._wake(session)
            if bells is None:
                moment = await ScheduleRepository(session).next_moment()
                clock.at = clock.ends_at if moment is None else min(moment, clock.ends_at)
        await self.ringer.ring(bells or ())
        return True

    async def _wake(self, session: AsyncSession) -> list[Bell] | None:
        """Let go on what waits, or end it. Returns the bells to ring after the commit; None when nothing changed."""
        sweeps = SweepRepository(session)
        if not (await sweeps.waiting(0, 1)).seen:
            return None
        made, ended = await sweeps.make_syncs(), await sweeps.give_up()
        ready = await sweeps.make_ready(CHUNK)
        bells = [*ready.bells, *await ShareRepository(session, self.share).ring_free(ready.places)]
        return bells if ready or ended or made else None
