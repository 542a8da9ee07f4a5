"""Rings, acknowledges and gives back messages from the event loop, many in one script."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.executions import Bell
from worker.bells.keys import claims_key, messages_key, ready_key
from worker.bells.scripts import ACKNOWLEDGE, GIVE_BACK, RING
from worker.messages import QUEUES
from worker.wire import encode, message_id

# Arguments of one script call: far below what a Lua stack takes, and short enough not to hold Redis up.
CHUNK = 500


class RedisUnreachable(Exception):  # noqa: N818 - read by people
    """Redis does not answer at the address given."""


# Longer than any script takes; a socket that stalls is given up, and the sweep rings again.
SOCKET_SECONDS = 5.0


class Bells:
    """The bells of all queues. Every call may be repeated: ringing or acknowledging twice is nothing."""

    def __init__(self, url: str) -> None:
        self.redis = Redis.from_url(url, socket_timeout=SOCKET_SECONDS, max_connections=4)
        self._ring = self.redis.register_script(RING)
        self._acknowledge = self.redis.register_script(ACKNOWLEDGE)
        self._give_back = self.redis.register_script(GIVE_BACK)

    async def check(self) -> None:
        """Refuse a Redis that is not there or not a Redis. Raises RedisUnreachable."""
        try:
            await self.redis.ping()
        except (RedisError, OSError) as error:
            raise RedisUnreachable(f"cannot reach Redis: {error} Check REDIS_URL and the server.") from error

    async def ring(self, bells: Iterable[Bell]) -> None:
        """Put messages on their queues, unless they are there already."""
        by_queue: dict[str, list[str | bytes]] = defaultdict(list)
        for bell in bells:
            by_queue[bell.queue] += [message_id(bell), encode(bell)]
        for queue, arguments in by_queue.items():
            keys = [ready_key(queue), messages_key(queue)]
            for start in range(0, len(arguments), 2 * CHUNK):
                await self._ring(keys=keys, args=arguments[start : start + 2 * CHUNK])

    async def acknowledge(self, worker: str, queue: str, ids: Sequence[str]) -> None:
        """Forget messages that a worker claimed and whose outcome is committed."""
        keys = [claims_key(worker, queue), messages_key(queue)]
        for start in range(0, len(ids), CHUNK):
            await self._acknowledge(keys=keys, args=ids[start : start + CHUNK])

    async def give_back(self, worker: str) -> int:
        """Return to their queues the messages a dead worker claimed. Returns how many."""
        back = 0
        for queue in QUEUES:
            keys = [claims_key(worker, queue), ready_key(queue), messages_key(queue)]
            back += int(await self._give_back(keys=keys))
        return back

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()
