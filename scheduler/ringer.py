"""What a scheduler says to Redis, and never waits for: with Redis away the rows are kept as if it had heard."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from db.executions import Bell
from db.fan_outs import Chunk
from worker.bells.ringing import Bells

log = structlog.get_logger(__name__)

# Far longer than any call of ours takes, and far shorter than what would count as a gap in the sight of Postgres.
CALL_SECONDS = 1.0
# A Redis that did not answer is left alone so long; meanwhile nothing is said to it.
AWAY_SECONDS = 2.0

T = TypeVar("T")


class Ringer:
    """Bells for whom Redis away is no error: what was not heard is looked for by the sweep, and said again."""

    def __init__(self, bells: Bells, clock: Callable[[], float] = time.monotonic) -> None:
        self.bells = bells
        self._clock = clock
        self._away_until: float | None = None

    async def ring(self, bells: Collection[Bell]) -> int:
        """Ring what is committed. Returns how many messages were new, 0 too when Redis is away."""
        return (await self.ask("ring", lambda: self.bells.ring(bells)) or 0) if bells else 0

    async def ring_chunks(self, chunks: Iterable[Chunk], market_now: datetime, speed: float) -> int:
        """Ring what fan-outs have made and committed, and let wait what is due later.

        market_now, speed: of the market's clock, by which later is meant. Returns how many messages were new.
        """
        some = list(chunks)
        peals = [chunk.peal for chunk in some if chunk.peal.execution_ids]
        later = [
            (Bell(one.task_name, one.queue, at, id_, 1), max(0, int((at - market_now).total_seconds() * 1000 / speed)))
            for one in (chunk.delayed for chunk in some)
            for id_, at in one.due
        ]
        rung = (await self.ask("ring", lambda: self.bells.ring_peals(peals)) or 0) if peals else 0
        return rung + ((await self.ask("let wait", lambda: self.bells.wait(later)) or 0) if later else 0)

    async def ring_missing(self, bells: Collection[Bell]) -> int:
        """Ring what is neither ready nor claimed. Returns how many were."""
        missing = await self.ask("look for messages", lambda: self.bells.missing(bells)) if bells else None
        return await self.ring(missing or ())

    async def wait_missing(self, waiting: Mapping[Bell, int]) -> int:
        """Let wait what is nowhere, each so many ms from now. Returns how many were."""
        if not waiting:
            return 0
        missing = await self.ask("look for messages", lambda: self.bells.missing(waiting, or_waiting=True)) or ()
        lost = [(bell, waiting[bell]) for bell in missing]
        return (await self.ask("let wait", lambda: self.bells.wait(lost)) or 0) if lost else 0

    async def ask(self, doing: str, call: Callable[[], Awaitable[T]], seconds: float = CALL_SECONDS) -> T | None:
        """Return what Redis answers, or None when it is away, or does not answer in so many seconds.

        doing: for the log, which tells of each absence once.
        """
        if self._away_until is not None and self._clock() < self._away_until:
            return None
        try:
            async with asyncio.timeout(seconds):
                answer = await call()
        except (RedisError, OSError) as error:  # a timeout is an OSError
            if self._away_until is None:
                log.warning("redis_away", error=str(error) or type(error).__name__, doing=doing)
            self._away_until = self._clock() + AWAY_SECONDS
            return None
        if self._away_until is not None:
            log.info("redis_back", doing=doing)
            self._away_until = None
        return answer
