"""Finds messages that fell out of every place, and claims of nothing. What is found is looked at again when healed."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from worker.bells.calls import CHUNK, Call, chunks, run, text
from worker.bells.keys import HEARTBEATS, NAMESPACE, claims_key, messages_key, ready_key
from worker.bells.scripts import DISCLAIM, RESTORE

# Each id that is put back is searched for in the whole list first.
_SEARCHED = 25
_LISTED = 5000
# A queue so long is read whole only where its counts do not agree: reading a million messages takes many seconds and a
# hundred megabytes, while others wait for this process.
LONG = 20_000
_CLAIMS = f"{NAMESPACE}:__acks__."


@dataclass(frozen=True, slots=True)
class Leaks:
    """What is wrong with one queue. lost: ids with bytes, in no place. empty: worker and id of claims without bytes."""

    lost: list[str]
    empty: list[tuple[str, str]]


async def find_leaks(redis: Redis, queue: str, workers: Iterable[str]) -> Leaks:
    """Read one queue whole, in pages. What moves meanwhile may be found by mistake: healing looks again.

    workers: who may hold a claim; workers that Dramatiq knows are added. A long queue is counted first: with as many
    messages as there are in its list and in claims none is lost.
    """
    holders = await _holders(redis, workers)
    if await _is_long_and_whole(redis, queue, holders):
        return Leaks([], [])
    written = {id_ async for id_, _ in redis.hscan_iter(messages_key(queue), count=CHUNK)}
    unplaced = written - {id_ async for id_ in _ready(redis, queue)}
    empty: list[tuple[str, str]] = []
    async with redis.pipeline(transaction=False) as pipeline:
        for worker in holders:
            pipeline.smembers(claims_key(worker, queue))
        for worker, claimed in zip(holders, await pipeline.execute(), strict=True):
            unplaced -= claimed
            empty += [(worker, text(id_)) for id_ in claimed - written]
    return Leaks(sorted(map(text, unplaced)), sorted(empty))


async def restore(redis: Redis, queue: str, ids: Sequence[str], workers: Iterable[str]) -> int:
    """Put back on the list what is in no place. Returns how many."""
    claims = [claims_key(worker, queue) for worker in await _holders(redis, workers)] if ids else []
    keys = (ready_key(queue), messages_key(queue), *claims)
    return sum(await run(redis, (Call(RESTORE, keys, some) for some in chunks(ids, _SEARCHED))))


async def disclaim(redis: Redis, queue: str, empty: Iterable[tuple[str, str]]) -> int:
    """Forget claims whose messages have no bytes. empty: worker and id. Returns how many."""
    by_worker: dict[str, list[str]] = defaultdict(list)
    for worker, id_ in empty:
        by_worker[worker].append(id_)
    calls = (
        Call(DISCLAIM, (claims_key(worker, queue), messages_key(queue)), some)
        for worker, ids in by_worker.items()
        for some in chunks(ids)
    )
    return sum(await run(redis, calls))


async def find_claims(redis: Redis, queues: Sequence[str]) -> dict[str, set[str]]:
    """Return every worker that holds claims of these queues, by a scan of all keys: queue -> workers."""
    found: dict[str, set[str]] = {queue: set() for queue in queues}
    async for key in redis.scan_iter(match=f"{_CLAIMS}*", count=CHUNK):
        name = text(key).removeprefix(_CLAIMS)
        for queue in queues:
            if name.endswith(f".{queue}"):
                found[queue].add(name.removesuffix(f".{queue}"))
    return found


async def _is_long_and_whole(redis: Redis, queue: str, holders: Sequence[str]) -> bool:
    async with redis.pipeline(transaction=True) as pipeline:  # of one moment: messages move from one to the other
        pipeline.hlen(messages_key(queue))
        pipeline.llen(ready_key(queue))
        for worker in holders:
            pipeline.scard(claims_key(worker, queue))
        written, *placed = await pipeline.execute()
    return bool(written > LONG and written == sum(placed))


async def _ready(redis: Redis, queue: str) -> AsyncIterator[bytes | str]:
    start = 0
    while page := await redis.lrange(ready_key(queue), start, start + _LISTED - 1):
        for id_ in page:
            yield id_
        start += len(page)


async def _holders(redis: Redis, workers: Iterable[str]) -> list[str]:
    known = await redis.zrange(HEARTBEATS, 0, -1)
    return sorted({*workers, *map(text, known)})
