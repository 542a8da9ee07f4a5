"""Wide fan-outs, piece by piece: each is claimed, made and rung; any number of schedulers take part."""

import asyncio
import time

import structlog

from db.fan_outs import FanOutRepository
from db.firings import FiringRepository, Piece
from db.transaction import Database
from scheduler.calendars import Calendars
from scheduler.ringer import Ringer
from scheduler.slots import planned

log = structlog.get_logger(__name__)

# A piece whose scheduler dies is taken over after this long.
CLAIM_SECONDS = 10.0
# Subscribers of a piece: of more, Redis would hear too late of the first; of fewer, commits would cost more than rows.
PIECE = 4000
# While Redis hears of one piece Postgres makes the next.
AT_ONCE = 2
# A turn looks after other things as well.
LONGEST_SECONDS = 0.5


class Pieces:
    """Makes pieces of what is wide, two at a time."""

    def __init__(self, database: Database, ringer: Ringer, name: str, share: int, calendars: Calendars) -> None:
        self.database, self.ringer, self.name, self.share = database, ringer, name, share
        self.calendars = calendars

    async def work(self) -> int:
        """Make pieces while there are any, for a while. Returns how many were made."""
        until = time.monotonic() + LONGEST_SECONDS
        first = await self._take(take_over=True)
        if first is None:
            return 0
        others = [self._work(until, None) for _ in range(AT_ONCE - 1)]
        return sum(await asyncio.gather(self._work(until, first), *others))

    async def _work(self, until: float, piece: Piece | None) -> int:
        made = 0
        piece = piece or await self._take()
        while piece is not None:
            made += await self._make(piece)
            piece = await self._take() if time.monotonic() < until else None
        return made

    async def _take(self, *, take_over: bool = False) -> Piece | None:
        async with self.database.transaction(None) as session:
            firings = FiringRepository(session, self.name)
            return await firings.take(PIECE, CLAIM_SECONDS) or (
                await firings.take_over(CLAIM_SECONDS) if take_over else None
            )

    async def _make(self, piece: Piece) -> int:
        """Make a piece's executions, unless somebody took it over, and ring them. Returns whether it was made."""
        if piece.id is None:
            return 1
        row = piece.row
        calendar = self.calendars.of(row.exchange)
        slot = planned(row, row.firing_slot, calendar, row.firing_reason, piece.after, piece.until)
        async with self.database.transaction(None) as session:
            if not await FiringRepository(session, self.name).drop(piece.id):
                log.warning("piece_taken_over", schedule_id=row.id, slot=row.firing_slot.isoformat())
                return 0
            chunks = await FanOutRepository(session, self.share).make([slot], PIECE)
        await self.ringer.ring_chunks(chunks, row.market_now, row.speed)
        return 1
