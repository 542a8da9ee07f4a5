"""Wide fan-outs, piece by piece: each is claimed, made and rung; any number of schedulers take part."""

import asyncio
import time

import structlog

from db.fan_outs import FanOutRepository, Slot
from db.firings import FiringRepository, Piece
from db.transaction import Database
from scheduler.calendars import Calendars
from scheduler.putting_off import REFUSALS, put_off
from scheduler.ringer import Ringer
from scheduler.slots import UNUSABLE, planned

Taken = tuple[Piece, Slot]

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

    async def _work(self, until: float, taken: Taken | None) -> int:
        made = 0
        taken = taken or await self._take()
        while taken is not None:
            made += await self._make(*taken)
            taken = await self._take() if time.monotonic() < until else None
        return made

    async def _take(self, *, take_over: bool = False) -> Taken | None:
        """Claim a piece and return it with what it is planned as. A schedule that cannot be planned is put off."""
        while True:
            piece = None
            try:
                async with self.database.transaction(None) as session:
                    piece = await self._claim(FiringRepository(session, self.name), take_over=take_over)
                    return None if piece is None else (piece, self._planned(piece))
            except UNUSABLE as error:  # nothing of it was claimed then: the next is another schedule's
                if piece is None:
                    raise
                await self._put_off(piece, error)

    async def _put_off(self, piece: Piece, error: Exception) -> None:
        async with self.database.transaction(None) as session:
            await put_off(FiringRepository(session, self.name), {piece.row.id: (piece.row, error)})

    async def _claim(self, firings: FiringRepository, *, take_over: bool) -> Piece | None:
        piece = await firings.take(PIECE, CLAIM_SECONDS)
        return await firings.take_over(CLAIM_SECONDS) if piece is None and take_over else piece

    def _planned(self, piece: Piece) -> Slot:
        row = piece.row
        calendar = self.calendars.of(row.exchange)
        return planned(row, row.firing_slot, calendar, row.firing_reason, piece.after, piece.until)

    async def _make(self, piece: Piece, slot: Slot) -> int:
        """Make a piece's executions, unless somebody took it over, and ring them. Returns whether it was made."""
        if piece.id is None:
            return 1
        row = piece.row
        try:
            async with self.database.transaction(None) as session:
                if not await FiringRepository(session, self.name).drop(piece.id):
                    log.warning("piece_taken_over", schedule_id=row.id, slot=row.firing_slot.isoformat())
                    return 0
                chunks = await FanOutRepository(session, self.share).make([slot], PIECE)
        except REFUSALS as error:  # the piece is there as before
            await self._put_off(piece, error)
            return 0
        await self.ringer.ring_chunks(chunks, row.market_now, row.speed)
        return 1
