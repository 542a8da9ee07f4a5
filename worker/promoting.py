"""Rings retries when they are due: any process that lives does it, on Redis's clock."""

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from worker.bells.ringing import Bells
from worker.ending import cancel

log = structlog.get_logger(__name__)

# A retry that another process let wait is seen by then.
LONGEST_SLEEP_SECONDS = 1.0


class Promoter:
    """Moves due messages from the sorted sets to their queues, for as long as it is open.

    drained: told how many messages of stock clients were taken over.
    """

    def __init__(self, bells: Bells, drained: Callable[[int], None] = lambda _: None) -> None:
        self.bells, self._drained = bells, drained
        self._working: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin."""
        self._working = asyncio.create_task(self._work())

    async def close(self) -> None:
        """End; what is due waits for the next process."""
        if self._working is not None:
            await cancel([self._working])

    async def _work(self) -> None:
        is_away = False
        while True:
            try:
                self._drained(await self.bells.drain_delayed())
                promoted = await self.bells.promote()
                sleep = LONGEST_SLEEP_SECONDS if promoted.next_due_seconds is None else promoted.next_due_seconds
                is_away = False
            except (RedisError, OSError) as error:
                if not is_away:
                    log.warning("redis_away", error=str(error), doing="promote retries")
                is_away, sleep = True, LONGEST_SLEEP_SECONDS
            await asyncio.sleep(min(max(sleep, 0.0), LONGEST_SLEEP_SECONDS))
