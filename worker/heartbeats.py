"""The heartbeats of one supervisor's processes on Redis: written for them, so that nothing they do can stop them."""

from collections.abc import Collection

import structlog
from redis.exceptions import RedisError

from worker.bells.ringing import Bells

log = structlog.get_logger(__name__)


class Heartbeats:
    """Says on Redis's clock who lives. Knows no leases: Redis away disturbs none, Postgres away stops no heartbeat."""

    def __init__(self, bells: Bells, queues: Collection[str]) -> None:
        """queues: that the processes serve, those of stock actors too."""
        self.bells, self.queues = bells, queues
        self._gone: set[str] = set()

    def end(self, name: str) -> None:
        """Forget, at the next turn, the heartbeat of a process known to be gone."""
        self._gone.add(name)

    async def turn(self, working: Collection[str]) -> None:
        """Beat once for the processes that can work, and forget who ended. Raises nothing."""
        gone = set(self._gone)
        try:
            if working:
                await self.bells.beat(sorted(working), self.queues)
            if gone:
                await self.bells.forget(sorted(gone))
        except (RedisError, OSError) as error:
            log.warning("redis_away", doing="write heartbeats", error=str(error) or type(error).__name__)
        except Exception:
            log.exception("heartbeats_not_written")
        else:
            self._gone -= gone
