"""Rings again what Redis has lost, page by page, and ends what nobody has begun by its deadline."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from db.executions import Bell
from db.rings import Page, Retry, RingRepository, Walk
from db.sweeps import SweepRepository
from db.transaction import Database
from scheduler.healed import Healed
from scheduler.ringer import Ringer
from scheduler.sight import Sight

# Rows of one kind that one sweep looks at: a hundred thousand are seen within twenty of them.
CHUNK = 5000
# A bell that was rung this long ago and answered by nobody may have gone with its Redis; ringing twice is nothing.
UNANSWERED_SECONDS = 10.0
# A retry this far behind its time, on the database's clock, waits for nothing that Redis could tell.
OVERDUE_SECONDS = 5.0
# Where one is missing many are: then a sweep looks on, so long at most.
LONGEST_SECONDS = 1.0

_BEGINNING = (datetime(1970, 1, 1, tzinfo=UTC), 0)


class Rerings:
    """Three walks, each a page a sweep: over what was rung, over what was not, over what waits for another try."""

    def __init__(self, database: Database, ringer: Ringer, healed: Healed, sight: Sight) -> None:
        self.database, self.ringer, self.healed, self.sight = database, ringer, healed, sight
        self._rung: Walk | None = None
        self._unrung: Walk | None = None
        self._retries = _BEGINNING

    async def look(self) -> None:
        """Look at the next page of each walk, and at more where something is missing."""
        until = time.monotonic() + LONGEST_SECONDS
        while await self._look_at_rung() and time.monotonic() < until:
            pass
        while await self._look_at_retries() and time.monotonic() < until:
            pass
        await self._look_at_unrung()

    async def _look_at_rung(self) -> bool:
        """Ring again what was rung long ago. Returns whether to look on."""
        async with self.database.reading(None) as session:
            page = await RingRepository(session).rung(self._rung or Walk(), UNANSWERED_SECONDS, CHUNK)
        self.sight.seen()
        self._rung = page.after
        missing = await self.ringer.ring_missing(page.unanswered)
        self.healed.note("rung_again", missing)
        await self._end(page.late)
        return self._goes_on(page, missing)

    async def _look_at_unrung(self) -> None:
        async with self.database.reading(None) as session:
            page = await RingRepository(session).unrung(self._unrung or Walk(), CHUNK)
        self.sight.seen()
        self._unrung = page.after
        await self._end(page.late)

    async def _look_at_retries(self) -> bool:
        """Let wait what is missing of those that wait, and ring what is overdue. Returns whether to look on."""
        async with self.database.reading(None) as session:
            retries = await RingRepository(session).retries(self._retries, CHUNK)
        self.sight.seen()
        more = len(retries) == CHUNK
        self._retries = (retries[-1].at, retries[-1].bell.execution_id) if more else _BEGINNING
        missing = await self._rebuild([one for one in retries if not one.is_late])
        self.healed.note("retry_rebuilt", missing)
        await self._end([one.bell for one in retries if one.is_late])
        return bool(more and missing)

    async def _rebuild(self, retries: Sequence[Retry]) -> int:
        overdue = [one.bell for one in retries if one.seconds < -OVERDUE_SECONDS]
        waiting = {one.bell: max(0, int(one.seconds * 1000)) for one in retries if one.seconds >= -OVERDUE_SECONDS}
        return await self.ringer.ring_missing(overdue) + await self.ringer.wait_missing(waiting)

    async def _end(self, late: Sequence[Bell]) -> None:
        if not late:
            return
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            await sweeps.hold_clock()
            ended = await sweeps.end_late(late)
        self.healed.note("late", len(ended), ended)

    @staticmethod
    def _goes_on(page: Page, missing: int) -> bool:
        return bool(missing) and page.after is not None
