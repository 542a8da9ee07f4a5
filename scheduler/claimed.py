"""What workers claim on Redis and do not begin: a live one lost sight of it, a dead one left it behind."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from dramatiq import Message
from dramatiq.errors import DecodeError

from db.executions import Bell
from worker.bells.calls import chunks, text
from worker.bells.keys import HEARTBEATS, claims_key, messages_key
from worker.bells.ringing import Bells
from worker.messages import TASKS
from worker.wire import bell_of

# A worker whose heartbeat on Redis is older, and whom Postgres does not know, is no more: as Dramatiq counts.
SILENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """An id that a worker has claimed of a queue."""

    worker: str
    queue: str
    id: str


class Watch:
    """Remembers since when each claim has been seen without a gap."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Claim, float] = {}

    def see(self, claims: Collection[Claim]) -> dict[Claim, float]:
        """Note what is claimed now. Returns how many seconds ago each was seen first."""
        now = self._clock()
        self._since = {claim: self._since.get(claim, now) for claim in claims}
        return {claim: now - since for claim, since in self._since.items()}


async def claims_of(bells: Bells, workers: Iterable[str]) -> list[Claim]:
    """Return what workers claim on Redis, of every known queue."""
    places = [(worker, queue) for queue in await bells.queues() for worker in workers]
    found: list[Claim] = []
    async with bells.redis.pipeline(transaction=False) as pipeline:
        for worker, queue in places:
            pipeline.smembers(claims_key(worker, queue))
        for (worker, queue), ids in zip(places, await pipeline.execute(), strict=True):
            found += [Claim(worker, queue, text(id_)) for id_ in ids]
    return found


async def bells_of(bells: Bells, claims: Iterable[Claim]) -> dict[Claim, Bell]:
    """Return what claimed messages ring for; those of others than our tasks, or without bytes, are left out."""
    by_queue: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_queue[claim.queue].append(claim)
    found: dict[Claim, Bell] = {}
    for queue, some in by_queue.items():
        for part in chunks(some):
            data = await bells.redis.hmget(messages_key(queue), [claim.id for claim in part])
            read = {claim: _bell(bytes_) for claim, bytes_ in zip(part, data, strict=True)}
            found |= {claim: bell for claim, bell in read.items() if bell is not None}
    return found


async def silent(bells: Bells, workers: Collection[str], seconds: float = SILENT_SECONDS) -> set[str]:
    """Return which workers were not heard of for so long, on Redis's clock."""
    if not workers:
        return set()
    names = sorted(workers)
    at, _ = await bells.redis.time()
    beats = await bells.redis.zmscore(HEARTBEATS, names)
    return {name for name, beat in zip(names, beats, strict=True) if beat is None or beat / 1000 < at - seconds}


def _bell(data: bytes | str | None) -> Bell | None:
    try:
        message: Message[None] = Message.decode(data.encode() if isinstance(data, str) else data or b"")
        return bell_of(message) if message.actor_name in TASKS else None
    except (DecodeError, ValueError, TypeError):
        return None
