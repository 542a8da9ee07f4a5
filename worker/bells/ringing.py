"""The bells of all queues from the event loop: rings, settles, lets wait and gives back, many in one script."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as BrokenConnectionError
from redis.exceptions import RedisError

from db.executions import Bell, Peal
from worker.bells import delayed, leaks
from worker.bells.calls import CHUNK, Call, chunks, run, text
from worker.bells.keys import (
    HEARTBEATS,
    KNOWN_QUEUES,
    bury_keys,
    claims_key,
    dead_errors_key,
    dead_key,
    dead_messages_key,
    messages_key,
    ready_key,
    wait_keys,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.leaks import Leaks
from worker.bells.missing import find_missing
from worker.bells.peals import peal_calls, ring_calls
from worker.bells.scripts import BEAT, BURY, GIVE_BACK, PROMOTE, PURGE, WAIT
from worker.bells.settling import Settled, settle_calls
from worker.messages import QUEUES
from worker.wire import encode, message_id

__all__ = ["Bells", "Leaks", "Promoted", "RedisUnreachable", "Settled"]


class RedisUnreachable(Exception):  # noqa: N818 - read by people
    """Redis does not answer at the address given."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a promotion did. next_due_seconds: until the next message is due; None when none waits."""

    count: int
    next_due_seconds: float | None


# Longer than any script takes; a socket that stalls is given up, and the sweep rings again.
SOCKET_SECONDS = 5.0
_CONNECTIONS = 4


class Bells:
    """The bells of all queues. Every call may be repeated: doing twice what is done is nothing.

    Calls raise RedisError or OSError when Redis is away; then they may have been heard all the same.
    """

    def __init__(self, url: str) -> None:
        # A connection that Redis closed is worth one more try, because any call may be repeated; a stall is not.
        again = Retry(NoBackoff(), 1, supported_errors=(BrokenConnectionError,))
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=SOCKET_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            retry=again,
            encoding_errors="surrogateescape",  # an id that is no text is told as it came
        )
        self.redis = Redis.from_pool(pool)

    async def check(self) -> None:
        """Refuse a Redis that is not there or not a Redis. Raises RedisUnreachable."""
        try:
            await self.redis.ping()
        except (RedisError, OSError) as error:
            raise RedisUnreachable(f"cannot reach Redis: {error} Check REDIS_URL and the server.") from error

    async def ring(self, bells: Iterable[Bell]) -> int:
        """Put messages on their queues, unless they are ready or claimed already. One that waits waits no longer.

        Returns how many were put there.
        """
        return sum(await run(self.redis, ring_calls(bells)))

    async def ring_peals(self, peals: Iterable[Peal]) -> int:
        """Ring bells that differ in nothing but their execution, as `ring` does, at a fifth of the cost."""
        return sum(await run(self.redis, peal_calls(peals)))

    async def missing(self, bells: Iterable[Bell], *, or_waiting: bool = False) -> list[Bell]:
        """Return which bells have no message that is ready or claimed. or_waiting: nor one that waits for its time."""
        return await find_missing(self.redis, bells, or_waiting=or_waiting)

    async def settle(self, worker: str, by_queue: Mapping[str, Settled], nexts: Iterable[Bell]) -> None:
        """End what a worker claimed and whose outcome is committed, and ring what comes next."""
        await run(self.redis, settle_calls(worker, by_queue, nexts))

    async def acknowledge(self, worker: str, queue: str, ids: Sequence[str]) -> None:
        """Forget messages that a worker claimed and whose outcome is committed."""
        await self.settle(worker, {queue: Settled(acknowledged=list(ids))}, ())

    async def wait(self, items: Iterable[tuple[Bell, int]]) -> int:
        """Let messages wait so many ms on Redis's clock, unless they are somewhere already. Returns how many."""
        by_queue: dict[str, list[tuple[Bell, int]]] = defaultdict(list)
        for bell, delay_ms in items:
            by_queue[bell.queue].append((bell, delay_ms))
        calls = [
            Call(WAIT, wait_keys(queue), [part for bell, ms in some for part in (message_id(bell), encode(bell), ms)])
            for queue, waiting in by_queue.items()
            for some in chunks(waiting)
        ]
        return sum(await run(self.redis, calls))

    async def promote(self, limit: int = CHUNK) -> Promoted:
        """Make ready what is due on Redis's clock, up to `limit` (500 at most) messages in all."""
        queues = await self.queues()
        keys = [key for queue in queues for key in _promotion_keys(queue)]
        [[count, next_due_ms]] = await run(self.redis, [Call(PROMOTE, keys, [min(limit, CHUNK)])])
        return Promoted(count, None if next_due_ms < 0 else next_due_ms / 1000)

    async def drain_delayed(self) -> int:
        """Take over what stock clients sent with a delay, of every known queue. Returns how many."""
        return await delayed.drain(self.redis, await self.queues())

    async def queues(self) -> list[str]:
        """Return our queues, the most urgent first, and behind them others that a worker of ours was given."""
        known = await self.redis.smembers(KNOWN_QUEUES)
        return [*QUEUES, *sorted(set(map(text, known)) - set(QUEUES))]

    async def give_back(self, workers: Iterable[str]) -> int:
        """Return to their queues the messages that dead workers claimed. Returns how many."""
        names, queues = list(workers), await self.queues()
        claimed = [(worker, queue) for queue in queues for worker in names]
        back = 0
        while claimed:
            calls = (
                Call(GIVE_BACK, (claims_key(worker, queue), ready_key(queue), messages_key(queue)), [CHUNK])
                for worker, queue in claimed
            )
            given = await run(self.redis, calls)
            back += sum(count for _, count in given)
            claimed = [one for one, (taken, _) in zip(claimed, given, strict=True) if taken >= CHUNK]
        return back

    async def beat(self, workers: Sequence[str], queues: Iterable[str] = ()) -> None:
        """Note on Redis's clock that workers live. queues: what they consume, beside our own."""
        foreign = set(queues) - set(QUEUES)
        if foreign:
            await self.redis.sadd(KNOWN_QUEUES, *foreign)
        await run(self.redis, (Call(BEAT, (HEARTBEATS,), some) for some in chunks(workers)))

    async def forget(self, workers: Sequence[str]) -> None:
        """Take workers that ended off the list of the living."""
        for some in chunks(workers):
            await self.redis.zrem(HEARTBEATS, *some)

    async def bury(self, queue: str, id_: str, error: str, worker: str = "") -> bool:
        """Move a message to the dead letters: a ready one, or one this worker claims. Returns whether it was."""
        [won] = await run(self.redis, [Call(BURY, bury_keys(worker, queue), (id_, json.dumps(error)))])
        return bool(won)

    async def purge(self, queue: str, seconds: float, limit: int = CHUNK) -> int:
        """Forget dead letters older than so many seconds, `limit` (500 at most) at a time. Returns how many."""
        keys = (dead_key(queue), dead_messages_key(queue), dead_errors_key(queue))
        [purged] = await run(self.redis, [Call(PURGE, keys, (int(seconds * 1000), min(limit, CHUNK)))])
        return int(purged)

    async def leaks(self, queue: str, workers: Iterable[str]) -> Leaks:
        """Look for messages in no place and claims without message. workers: who may rightly hold a claim.

        Reads the whole queue, so not more often than every minute or so.
        """
        return await leaks.find_leaks(self.redis, queue, workers)

    async def restore(self, queue: str, ids: Sequence[str], workers: Iterable[str]) -> int:
        """Make ready again what is still in no place. Returns how many."""
        return await leaks.restore(self.redis, queue, ids, workers)

    async def disclaim(self, queue: str, empty: Iterable[tuple[str, str]]) -> int:
        """Forget claims, as worker and id, that are still without message. Returns how many."""
        return await leaks.disclaim(self.redis, queue, empty)

    async def claimants(self) -> dict[str, set[str]]:
        """Return who holds claims, by a scan of all keys: queue -> workers, dead ones and stock ones too."""
        return await leaks.find_claims(self.redis, await self.queues())

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()


def _promotion_keys(queue: str) -> tuple[str, ...]:
    return waiting_key(queue), waiting_messages_key(queue), ready_key(queue), messages_key(queue)
